//! What lookups written together ask for once. Pure.
//!
//! What a lookup reads counts only if a primary said it. `WAIT 0 0` waits for nothing and is refused
//! by whatever has a primary of its own, so it ends each pipeline. And each lookup needs its shard's
//! state, epoch, incarnation, clock and floor, beside the marks of its tags. Both cost Redis more than
//! the entry does. So lookups that are written together share them: first each asks for its entry,
//! then comes one *question* for each of their shards, with the tags of all its lookups, and at last
//! their one *proof*.
//!
//! **What the proof says of each, as a `WAIT` of its own did.** The server executes what comes by one
//! socket in its order, so this one was executed after all reads of its batch. A server that had been
//! demoted before one of them, and still was, has refused it: what is so now was so when they were
//! read. What was demoted, rolled back and promoted between a read and its `WAIT` passes, batch or
//! not; its replication id is another one then, which `INFO replication` finds within the
//! `proof_interval`. Each read itself is as late as ever: it is executed after it was written, and
//! that is after its lookup began.
//!
//! **State and marks are one command's reply**, so they are of one instant, which is after the entry
//! was read, as in a lookup that is sent alone. That is more than validity needs. But the ticket that
//! comes with an entry is made of that clock: were it read later than the marks, an invalidation in
//! between would leave a ticket with which what it invalidated is put again.
//!
//! **What nothing proves is told to nobody.** A lookup's replies are kept back until the proof of its
//! own batch has been read and is a number. If the proof is refused, none of the batch gets its
//! replies; each is looked up again by its own pipeline. If it does not come because the socket has
//! ended, all of them fail with it. If it is late, each lookup's waiting ends at its own deadline, and
//! what comes later is thrown away. A later proof is not taken for an earlier one.
//!
//! **What refuses once is not asked again.** A server that says it is a replica, or loads another's
//! data, may be a primary again by the next batch. So its socket ends there: the next one reads the
//! incarnation first.
//!
//! **A batch is bounded**, since its first lookup waits for its last: lookups that follow each other
//! without any other call between them, which may take long or be large; [`MOST`] of them, and about
//! [`MOST_WORDS`]; and no more than have [`ROOM`] for their replies, as long as these are as the last
//! ones were.

use std::sync::Arc;

use super::words::{put_count, put_word};

/// A command with one reply, an array, to which lookups that ask the very same add words of their own.
#[derive(Debug)]
pub(crate) struct Question {
    packed: Vec<u8>,
    words: usize,
}

impl Question {
    pub(crate) fn new<'w, W: IntoIterator<Item = &'w str>>(words: W) -> Arc<Self> {
        let mut question = Self { packed: Vec::new(), words: 0 };
        for word in words {
            put_word(&mut question.packed, word);
            question.words += 1;
        }
        Arc::new(question)
    }
}

/// What ends a batch, and has one reply.
const PROOF: &[u8] = b"*3\r\n$4\r\nWAIT\r\n$1\r\n0\r\n$1\r\n0\r\n";

/// The most lookups of a batch. One more share would save less than a thirtieth of a `WAIT`.
const MOST: usize = 32;

/// So many words added to questions end a batch, so that none of these keeps the server busy for long.
const MOST_WORDS: usize = 256;

/// The bytes of a batch's replies, as far as can be known.
const ROOM: usize = 128 << 10;

/// The batch that is being put together.
#[derive(Debug)]
pub(super) struct Batch {
    lookups: usize,
    most: usize,
    words: usize,
    asked: Vec<Asked>,
}

/// A question, and the words that lookups have added.
#[derive(Debug)]
struct Asked {
    question: Arc<Question>,
    words: usize,
    packed: Vec<u8>,
}

/// Where a lookup's part of its batch's answers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the questions.
    pub(super) question: usize,
    /// How many words others have added before its own.
    pub(super) before: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { lookups: 0, most: MOST, words: 0, asked: Vec::new() }
    }
}

impl Batch {
    /// Takes in a lookup that asks this, with these words.
    pub(super) fn add<'w, W>(&mut self, question: &Arc<Question>, words: W) -> Place
    where
        W: ExactSizeIterator<Item = &'w str>,
    {
        self.lookups += 1;
        self.words += words.len();
        let place = self.asked.iter().position(|asked| Arc::ptr_eq(&asked.question, question));
        let place = place.unwrap_or_else(|| {
            let question = Arc::clone(question);
            self.asked.push(Asked { question, words: 0, packed: Vec::new() });
            self.asked.len() - 1
        });
        let before = self.asked.get_mut(place).map_or(0, |asked| asked.add(words));
        Place { question: place, before }
    }

    /// Whether it has to end before another lookup comes.
    pub(super) const fn is_full(&self) -> bool {
        self.lookups >= self.most || self.words >= MOST_WORDS
    }

    /// Appends what ends it, and begins another one. Says how many questions the proof follows; none
    /// if there was nothing to prove.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if std::mem::replace(&mut self.lookups, 0) == 0 {
            return None;
        }
        self.words = 0;
        let asked = self.asked.len();
        for Asked { question, words, packed } in self.asked.drain(..) {
            put_count(out, question.words + words);
            out.extend_from_slice(&question.packed);
            out.extend_from_slice(&packed);
        }
        out.extend_from_slice(PROOF);
        Some(asked)
    }

    /// Replies of lookups have so many bytes, as a rule.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.most = (ROOM / bytes.max(1)).clamp(1, MOST);
    }
}

impl Asked {
    /// Says how many words were there before.
    fn add<'w, W: ExactSizeIterator<Item = &'w str>>(&mut self, words: W) -> usize {
        let before = self.words;
        self.words += words.len();
        words.for_each(|word| put_word(&mut self.packed, word));
        before
    }
}

/// What the reply to [`PROOF`] says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Primary,
    /// It has a primary, or loads what another one had.
    Replica,
    /// It did not say.
    Unknown,
}

impl Verdict {
    pub(super) fn read(reply: &[u8]) -> Self {
        let is_number = |digits: &[u8]| {
            digits
                .strip_suffix(b"\r\n")
                .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        };
        match reply.split_first() {
            Some((b':', digits)) if is_number(digits) => Self::Primary,
            Some((b'-', why)) if REFUSALS.iter().any(|refusal| why.starts_with(refusal)) => {
                Self::Replica
            }
            _ => Self::Unknown,
        }
    }
}

const REFUSALS: [&[u8]; 4] =
    [b"ERR WAIT cannot be used with replica", b"READONLY ", b"MASTERDOWN ", b"LOADING "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_said_by_a_primary() {
        for (reply, verdict) in [
            (":0\r\n", Verdict::Primary),
            (":12\r\n", Verdict::Primary),
            ("-ERR WAIT cannot be used with replica instances. Please\r\n", Verdict::Replica),
            ("-MASTERDOWN Link with MASTER is down\r\n", Verdict::Replica),
            ("-LOADING Redis is loading the dataset in memory\r\n", Verdict::Replica),
            ("-READONLY You can't\r\n", Verdict::Replica),
            ("-BUSY Redis is busy running a script\r\n", Verdict::Unknown),
            ("-NOPERM no\r\n", Verdict::Unknown),
            ("-ERR unknown command 'WAIT'\r\n", Verdict::Unknown),
            (":\r\n", Verdict::Unknown),
            (":-1\r\n", Verdict::Unknown),
            (":0", Verdict::Unknown),
            ("+0\r\n", Verdict::Unknown),
            ("$1\r\n0\r\n", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(Verdict::read(reply.as_bytes()), verdict, "{reply:?}");
        }
    }

    #[test]
    fn a_batch_is_bounded_by_number_and_by_what_its_replies_will_have() {
        let (mut batch, mut out) = (Batch::default(), Vec::new());
        let questions = [Question::new(["a"]), Question::new(["a"])];
        assert!(!batch.is_full());
        assert_eq!(batch.end(&mut out), None, "nothing, which needs no proof");
        for (bytes, most) in [(0, MOST), (1_700, MOST), (16 << 10, 8), (ROOM, 1), (8 << 20, 1)] {
            batch.expect(bytes);
            for number in 0..most {
                assert!(!batch.is_full(), "{bytes} bytes each");
                let question = number % 2;
                let place = batch.add(&questions[question], [].into_iter());
                assert_eq!(place, Place { question, before: 0 });
            }
            assert!(batch.is_full(), "{bytes} bytes each");
            let asked = most.min(2);
            assert_eq!(batch.end(&mut out), Some(asked));
            assert_eq!(out, [&b"*1\r\n$1\r\na\r\n".repeat(asked), PROOF].concat());
            out.clear();
            assert_eq!(batch.end(&mut out), None);
        }
    }

    #[test]
    fn words_are_added_to_ones_own_question_and_end_a_batch() {
        let (mut batch, mut out) = (Batch::default(), Vec::new());
        let [one, other] = [Question::new(["ASK", "1"]), Question::new(["ASK", "2"])];
        for (question, words, place) in [
            (&one, &["a", "b"][..], (0, 0)),
            (&other, &["c"], (1, 0)),
            (&one, &[], (0, 2)),
            (&one, &["d"], (0, 2)),
            (&other, &["e"], (1, 1)),
        ] {
            let place = Place { question: place.0, before: place.1 };
            assert_eq!(batch.add(question, words.iter().copied()), place);
        }
        assert_eq!(batch.end(&mut out), Some(2));
        let (first, second) = ("ASK 1 a b d", "ASK 2 c e");
        let packed = [first, second].map(|words| {
            let words: Vec<_> = words.split(' ').collect();
            let each = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
            format!("*{}\r\n{}", words.len(), each.collect::<String>()).into_bytes()
        });
        assert_eq!(out, [packed.concat().as_slice(), PROOF].concat());

        batch.add(&one, std::iter::repeat_n("a", MOST_WORDS - 1));
        assert!(!batch.is_full());
        batch.add(&other, ["a"].into_iter());
        assert!(batch.is_full());
        batch.end(&mut out);
        assert!(!batch.is_full());
    }
}
