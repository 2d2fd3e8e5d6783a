//! What lookups written together ask for once. Pure.
//!
//! What a lookup reads counts only if a primary said it. `WAIT 0 0` waits for nothing and is refused
//! by whatever has a primary of its own, so it ends each pipeline. And each lookup needs its shard's
//! state: epoch, incarnation, clock and floor. Both cost Redis more than the entry does. So lookups that
//! are written together share them: first each asks for its entry and the marks of its tags, then
//! the batch asks each of their *questions* once, and at last comes its one *proof*.
//!
//! **What the proof says of each, as a `WAIT` of its own did.** The server executes what comes by one
//! socket in its order, so this one was executed after all reads of its batch. A server that had been
//! demoted before one of them, and still was, has refused it: what is so now was so when they were
//! read. What was demoted, rolled back and promoted between a read and its `WAIT` passes, batch or
//! not; its replication id is another one then, which `INFO replication` finds within the
//! `proof_interval`. Each read itself is as late as ever: it is executed after it was written, and
//! that is after its lookup began.
//!
//! **Why the state may be read after the marks, in another command.** Entry, marks, state are read
//! in this order. If the state has the entry's epoch, then that epoch was in force all the while:
//! it was when the entry's ticket was issued, before the entry was read, and an epoch that was
//! replaced never comes back, since each is random. The incarnation is written with the epoch and never
//! changed. So the marks that were read are those of this epoch, and of this incarnation. A mark that had
//! been trimmed by then had raised the floor first, and a floor never falls within an epoch: the one
//! that is read later is at least as high. And a clock that is read later gives a miss a later
//! ticket, before its handler runs all the same.
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
//! without any other call between them, which may take long or be large; [`MOST`]; and no more than
//! have [`ROOM`] for their replies, as long as these are as the last ones were.

use std::sync::Arc;

/// A command with one reply, which lookups that ask the very same share.
pub(crate) type Question = Arc<[u8]>;

/// What ends a batch, and has one reply.
const PROOF: &[u8] = b"*3\r\n$4\r\nWAIT\r\n$1\r\n0\r\n$1\r\n0\r\n";

/// The most lookups of a batch. One more share would save less than a thirtieth of a `WAIT`.
const MOST: usize = 32;

/// The bytes of a batch's replies, as far as can be known.
const ROOM: usize = 128 << 10;

/// The batch that is being put together.
#[derive(Debug)]
pub(super) struct Batch {
    lookups: usize,
    most: usize,
    questions: Vec<Question>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { lookups: 0, most: MOST, questions: Vec::new() }
    }
}

impl Batch {
    /// Takes in a lookup, and says which of its questions is this lookup's.
    pub(super) fn add(&mut self, question: &Question) -> usize {
        self.lookups += 1;
        let asked = self.questions.iter().position(|asked| Arc::ptr_eq(asked, question));
        asked.unwrap_or_else(|| {
            self.questions.push(Arc::clone(question));
            self.questions.len() - 1
        })
    }

    /// Whether it has to end before another lookup comes.
    pub(super) const fn is_full(&self) -> bool {
        self.lookups >= self.most
    }

    /// Appends what ends it, and begins another one. Says how many questions the proof follows; none
    /// if there was nothing to prove.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if std::mem::replace(&mut self.lookups, 0) == 0 {
            return None;
        }
        let asked = self.questions.len();
        for question in self.questions.drain(..) {
            out.extend_from_slice(&question);
        }
        out.extend_from_slice(PROOF);
        Some(asked)
    }

    /// Replies of lookups have so many bytes, as a rule.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.most = (ROOM / bytes.max(1)).clamp(1, MOST);
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
        let questions: [Question; 2] = [b"a"[..].into(), b"a"[..].into()];
        assert!(!batch.is_full());
        assert_eq!(batch.end(&mut out), None, "nothing, which needs no proof");
        for (bytes, most) in [(0, MOST), (1_700, MOST), (16 << 10, 8), (ROOM, 1), (8 << 20, 1)] {
            batch.expect(bytes);
            for number in 0..most {
                assert!(!batch.is_full(), "{bytes} bytes each");
                let question = number % 2;
                assert_eq!(batch.add(&questions[question]), question);
            }
            assert!(batch.is_full(), "{bytes} bytes each");
            let asked = most.min(2);
            assert_eq!(batch.end(&mut out), Some(asked));
            assert_eq!(out, [&b"a".repeat(asked), PROOF].concat());
            out.clear();
            assert_eq!(batch.end(&mut out), None);
        }
    }
}
