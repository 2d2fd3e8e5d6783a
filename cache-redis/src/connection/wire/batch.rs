//! What lookups written together ask for once. Pure.
//!
//! What a lookup reads counts only if a primary said it. `WAIT 0 0` waits for nothing and is refused
//! by whatever has a primary of its own, so it ends each pipeline. And each lookup needs its shard's
//! state, epoch, incarnation, clock and floor, beside the marks of its tags. Both cost Redis more than
//! the entry does. So lookups that are written together share them. For each of their shards there is
//! one `MGET` of the *entries* and then one *question* for the state and for the marks of their tags;
//! their one *proof* comes at last. Each entry and each mark is asked for once, however many of the
//! lookups want it: all of them began before it is read.
//!
//! **What the proof says of each, as a `WAIT` of its own did.** The server executes what comes by one
//! socket in its order, so this one was executed after all reads of its batch. A server that had been
//! demoted before one of them, and still was, has refused it: what is so now was so when they were
//! read. What was demoted, rolled back and promoted between a read and its `WAIT` passes, batch or
//! not; its replication id is another one then, which `INFO replication` finds within the
//! `proof_interval`. Each read itself is as late as ever: it is executed after it was written, and
//! that is after all lookups it is for began. What has been written is joined by none.
//!
//! **State and marks are one command's reply**, so they are of one instant, which is after the entries
//! were read, as in a lookup that is sent alone. That is more than validity needs. But the ticket that
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
//! without any other call between them, which may take long or be large; [`MOST`] entries, and about
//! [`MOST_WORDS`]; and no more entries than have [`ROOM`] for their replies, if none is larger than the
//! largest that came lately. So the first large ones after many small ones may come together, at worst
//! [`MOST`] of the largest that the store takes: all of them then wait for the last, within their limits,
//! and each that gives up is a failure of its own to the circuit breaker. They are not counted as one: of a
//! server that hangs a burst's lookups are one batch, too, and there it is their number that opens the
//! breaker within one response limit instead of one for each failure that it takes.
//!
//! **A slot that is being moved refuses an `MGET` whole**, if one of its entries is not there (`TRYAGAIN`;
//! `ASK`, if none is). Each lookup of the group is then made once more by itself, as after any reply that is
//! not plain: what is still there is a hit in its second trip. The `MGET` does not say who was missing, and
//! whoever asked for less at a time would do so in all groups for the sake of those few seconds.

use std::sync::Arc;

use smallvec::SmallVec;

use super::queue::{Caller, Waiting};
use super::words::{put_count, put_word};

/// A `ZMSCORE`, to which lookups that ask the very same add members of their own.
#[derive(Debug)]
pub(crate) struct Question {
    packed: Vec<u8>,
    members: usize,
}

impl Question {
    pub(crate) fn new(set: &str, members: &[&str]) -> Arc<Self> {
        let mut packed = Vec::new();
        for word in ["ZMSCORE", set].iter().chain(members) {
            put_word(&mut packed, word);
        }
        Arc::new(Self { packed, members: members.len() })
    }

    /// How many words it has by itself.
    const fn words(&self) -> usize {
        2 + self.members
    }
}

/// What a lookup asks for.
#[derive(Debug)]
pub(crate) struct Wanted<'q, N, W> {
    pub(crate) question: &'q Arc<Question>,
    /// Further members, whose scores are wanted.
    pub(crate) words: W,
    /// Equal for equal names, and mostly for those only.
    pub(crate) number: u64,
    /// Appends the entry's name, as one word.
    pub(crate) name: N,
}

/// Where in the answer to its question a lookup's words are.
pub(super) type Places = SmallVec<[u16; 4]>;

/// What ends a batch, and has one reply.
const PROOF: &[u8] = b"*3\r\n$4\r\nWAIT\r\n$1\r\n0\r\n$1\r\n0\r\n";

/// The most entries of a batch. One more share would save less than a thirtieth of a `WAIT`.
const MOST: usize = 32;

/// The most as long as no entry has come yet.
const FIRST: usize = 4;

/// So many words added to questions end a batch, so that none of these keeps the server busy for long.
const MOST_WORDS: usize = 256;

/// Among so many of a question's first words the others are looked for.
const NEAR: usize = 32;

/// The bytes of a batch's replies, as far as can be known.
const ROOM: usize = 128 << 10;

/// What may be kept of a buffer that has grown.
const KEPT: usize = 8 << 10;

/// The batch that is being put together.
#[derive(Debug)]
pub(super) struct Batch {
    entries: usize,
    most: usize,
    words: usize,
    /// So many of the groups; the others are of batches before, for their buffers.
    used: usize,
    groups: Vec<Group>,
}

/// Lookups with one question, hence of one shard.
#[derive(Debug)]
struct Group {
    question: Arc<Question>,
    words: Words,
    names: Vec<u8>,
    /// Of each entry, its number and where its name ends.
    known: Vec<(u64, usize)>,
    entries: Vec<Waiting>,
}

/// What lookups have added to a question.
#[derive(Debug, Default)]
struct Words {
    packed: Vec<u8>,
    /// Where the text of each is in that.
    texts: Vec<(usize, usize)>,
    /// Those of the last lookup: the next one's are often the same.
    last: Places,
}

impl Default for Batch {
    fn default() -> Self {
        Self { entries: 0, most: FIRST, words: 0, used: 0, groups: Vec::new() }
    }
}

impl Batch {
    /// Takes in a lookup; [`Caller::words`] is set here.
    pub(super) fn add<'w, N, W>(&mut self, wanted: Wanted<'_, N, W>, mut caller: Caller)
    where
        N: FnOnce(&mut Vec<u8>),
        W: Iterator<Item = &'w str>,
    {
        let Wanted { question, words, number, name } = wanted;
        let place = self.place(question);
        let Some(group) = self.groups.get_mut(place) else { return };
        let before = group.words.texts.len();
        caller.words = group.words.add(words);
        self.words += group.words.texts.len() - before;
        self.entries += usize::from(group.add(place, number, name, caller));
    }

    /// The group that asks this, which may be a new one.
    fn place(&mut self, question: &Arc<Question>) -> usize {
        let mut used = self.groups.iter().take(self.used);
        if let Some(place) = used.position(|group| Arc::ptr_eq(&group.question, question)) {
            return place;
        }
        match self.groups.get_mut(self.used) {
            Some(group) => group.question.clone_from(question),
            None => self.groups.push(Group::new(question)),
        }
        self.used += 1;
        self.used - 1
    }

    /// Whether it has to end before another lookup comes.
    pub(super) const fn is_full(&self) -> bool {
        self.entries >= self.most || self.words >= MOST_WORDS
    }

    /// Appends its commands and who waits for their replies, and begins another one.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, calls: &mut Vec<Waiting>) {
        if std::mem::replace(&mut self.entries, 0) == 0 {
            return;
        }
        self.words = 0;
        for group in self.groups.iter_mut().take(std::mem::take(&mut self.used)) {
            group.end(out, calls);
        }
        out.extend_from_slice(PROOF);
        calls.push(Waiting::proof());
    }

    /// Entries may have so many bytes; 0 if nothing is known of them.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.most = ROOM.checked_div(bytes).map_or(FIRST, |most| most.clamp(1, MOST));
    }
}

impl Group {
    fn new(question: &Arc<Question>) -> Self {
        Self {
            question: Arc::clone(question),
            words: Words::default(),
            names: Vec::new(),
            known: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Appends what it asks, and who waits for that; then there is nothing in it.
    fn end(&mut self, out: &mut Vec<u8>, calls: &mut Vec<Waiting>) {
        put_count(out, 1 + self.entries.len());
        put_word(out, "MGET");
        out.extend_from_slice(&self.names);
        calls.push(Waiting::names(self.entries.len()));
        calls.append(&mut self.entries);

        let words = self.words.texts.len();
        put_count(out, self.question.words() + words);
        out.extend_from_slice(&self.question.packed);
        out.extend_from_slice(&self.words.packed);
        calls.push(Waiting::question(self.question.members + words));

        self.known.clear();
        self.words.texts.clear();
        self.words.last.clear();
        for buffer in [&mut self.names, &mut self.words.packed] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
    }

    /// Says whether nobody has asked for this entry before.
    fn add(
        &mut self,
        group: usize,
        number: u64,
        name: impl FnOnce(&mut Vec<u8>),
        caller: Caller,
    ) -> bool {
        let begin = self.names.len();
        name(&mut self.names);
        let (known, new) = self.names.split_at_checked(begin).unwrap_or_default();
        let mut first = 0;
        let same = self.known.iter().position(|&(other, end)| {
            let name = known.get(std::mem::replace(&mut first, end)..end);
            other == number && name == Some(new)
        });
        if let Some(entry) = same.and_then(|place| self.entries.get_mut(place)) {
            self.names.truncate(begin);
            entry.join(caller);
            return false;
        }
        self.known.push((number, self.names.len()));
        self.entries.push(Waiting::entry(group, caller));
        true
    }
}

impl Words {
    fn add<'w, W: Iterator<Item = &'w str>>(&mut self, words: W) -> Places {
        let last = std::mem::take(&mut self.last);
        let places: Places =
            words.enumerate().map(|(turn, word)| self.place(word, last.get(turn))).collect();
        self.last.clone_from(&places);
        places
    }

    fn place(&mut self, word: &str, guess: Option<&u16>) -> u16 {
        let is_it =
            |&(begin, end): &(usize, usize)| self.packed.get(begin..end) == Some(word.as_bytes());
        if let Some(guess) = guess
            && self.texts.get(usize::from(*guess)).is_some_and(is_it)
        {
            return *guess;
        }
        let place = self.texts.iter().take(NEAR).position(is_it).unwrap_or_else(|| {
            put_word(&mut self.packed, word);
            let end = self.packed.len() - "\r\n".len();
            self.texts.push((end - word.len(), end));
            self.texts.len() - 1
        });
        // A batch that is full takes no more of them.
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use redis::Pipeline;
    use tokio::sync::oneshot;

    use super::*;

    /// Adds a lookup of `name`, and says where its words are.
    fn add(batch: &mut Batch, question: &Arc<Question>, name: &str, words: &[&str]) -> Vec<u16> {
        let (tell, _) = oneshot::channel();
        let number = name.len() as u64;
        let words = words.iter().copied();
        let put = |out: &mut Vec<u8>| put_word(out, name);
        batch.add(Wanted { question, words, number, name: put }, Caller::new(tell, None));
        let group = batch.groups.iter().find(|group| Arc::ptr_eq(&group.question, question));
        group.unwrap().words.last.to_vec()
    }

    fn end(batch: &mut Batch) -> (String, usize) {
        let (mut out, mut calls) = (Vec::new(), Vec::new());
        batch.end(&mut out, &mut calls);
        (String::from_utf8(out).unwrap(), calls.len())
    }

    fn packed(commands: &[&str]) -> String {
        let mut pipe = Pipeline::new();
        for command in commands {
            let mut words = command.split(' ');
            let pipe = pipe.cmd(words.next().unwrap());
            words.for_each(|word| {
                pipe.arg(word);
            });
        }
        String::from_utf8(pipe.get_packed_pipeline()).unwrap()
    }

    #[test]
    fn a_batch_is_as_the_client_library_packs_it_and_asks_for_each_thing_once() {
        let mut batch = Batch::default();
        assert_eq!(end(&mut batch), (String::new(), 0), "nothing, which needs no proof");
        let [one, other] = [Question::new("m1", &["#"]), Question::new("m2", &[])];
        assert_eq!(add(&mut batch, &one, "a", &["x", "y"]), [0, 1]);
        assert_eq!(add(&mut batch, &other, "a", &["y"]), [0]);
        assert_eq!(add(&mut batch, &one, "b", &[]), [0; 0]);
        assert_eq!(add(&mut batch, &one, "a", &["z", "y", "x"]), [2, 1, 0]);
        assert_eq!(add(&mut batch, &one, "cc", &["z", "y", "z"]), [2, 1, 2]);
        assert_eq!(add(&mut batch, &other, "", &["", "y"]), [1, 0]);
        let commands =
            ["MGET a b cc", "ZMSCORE m1 # x y z", "MGET a ", "ZMSCORE m2 y ", "WAIT 0 0"];
        assert_eq!(end(&mut batch), (packed(&commands), 3 + 1 + 1 + 2 + 1 + 1 + 1));
        assert_eq!(end(&mut batch), (String::new(), 0));
    }

    #[test]
    fn a_batch_is_bounded_by_number_and_by_what_its_replies_will_have() {
        let mut batch = Batch::default();
        let question = Question::new("m", &[]);
        for (bytes, most) in
            [(0, FIRST), (1, MOST), (1_700, MOST), (16 << 10, 8), (ROOM, 1), (8 << 20, 1)]
        {
            batch.expect(bytes);
            for number in 0..most {
                assert!(!batch.is_full(), "{bytes} bytes each");
                for _ in 0..3 {
                    add(&mut batch, &question, &number.to_string(), &[]);
                }
            }
            assert!(batch.is_full(), "{bytes} bytes each");
            assert_eq!(end(&mut batch).1, most + 3);
        }
    }

    #[test]
    fn words_end_a_batch() {
        let mut batch = Batch::default();
        let [one, other] = [Question::new("m1", &[]), Question::new("m2", &[])];
        let words: Vec<_> = (1..MOST_WORDS).map(|number| number.to_string()).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        for _ in 0..2 {
            let places = add(&mut batch, &one, "a", &words);
            assert!(places.iter().enumerate().all(|(place, found)| place == usize::from(*found)));
        }
        assert!(!batch.is_full());
        add(&mut batch, &other, "a", &["1"]);
        assert!(batch.is_full());
        end(&mut batch);
        assert!(!batch.is_full());
    }
}
