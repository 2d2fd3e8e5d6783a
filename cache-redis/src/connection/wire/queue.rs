//! Who waits for replies of a socket, in the order in which these will come. Pure.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;

use super::batch::Places;
use super::scan::Scan;
use super::scores;
use super::verdict::Verdict;
use crate::error::Fault;
use crate::meta::Score;

/// For about so many entries a large one is remembered.
const RECENT: usize = 8;

/// The bytes of the reply for an entry that is not there, or is empty.
const NOTHING: usize = 6;

/// What was said to one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// The replies to its own commands; to a lookup, the one for its entry.
    pub(crate) own: Bytes,
    /// To a lookup: the answer to its question, which others share. None if it is not what it has to be.
    shared: Option<Arc<[Score]>>,
    /// Where the scores of its own words are in that, behind those of the question's.
    words: Places,
}

impl Said {
    /// The scores of the question's members, of which there are so many, and of its own words.
    pub(crate) fn scores(&self, members: usize) -> Option<impl Iterator<Item = Score> + '_> {
        let (state, marks) = self.shared.as_deref()?.split_at_checked(members)?;
        let mark = |place: &u16| marks.get(usize::from(*place)).copied();
        let own = self.words.iter().map(move |place| mark(place).unwrap_or(Score::Odd));
        Some(state.iter().copied().chain(own))
    }

    #[cfg(test)]
    pub(crate) fn of(own: Bytes, shared: &[Score], words: &[u16]) -> Self {
        Self { own, shared: Some(shared.into()), words: words.into() }
    }

    #[cfg(test)]
    pub(crate) fn unanswered(own: &'static [u8]) -> Self {
        Self { own: Bytes::from_static(own), ..Self::default() }
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    scan: Scan,
    kind: Kind,
    /// To an entry, until its proof has come.
    unproved: Bytes,
    /// Several who look up the same; none if nobody waits but the socket itself.
    callers: SmallVec<[Caller; 1]>,
    places: usize,
}

/// Whom to tell.
#[derive(Debug)]
pub(super) struct Caller {
    tell: oneshot::Sender<Result<Said, Fault>>,
    /// In monotonic milliseconds.
    deadline: Option<u64>,
    /// What it has added to its question.
    pub(super) words: Places,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its caller gets the replies at once.
    Pipeline,
    /// How the reply for so many entries, which follow, begins.
    Names(usize),
    /// Its callers get it when the proof behind it has come, with their part of the answer to this
    /// question of its batch.
    Entry(usize),
    /// Asks for the lookups before it, about so many members.
    Question(usize),
    /// Proves the entries before it, and the answers to their questions.
    Proof,
}

impl Caller {
    pub(super) fn new(tell: oneshot::Sender<Result<Said, Fault>>, deadline: Option<u64>) -> Self {
        Self { tell, deadline, words: Places::new() }
    }

    /// Whoever has given up does not mind.
    fn tell(self, outcome: Result<Said, Fault>) {
        let _ = self.tell.send(outcome);
    }
}

impl Waiting {
    /// A pipeline with so many replies, which has taken so many places.
    pub(super) fn pipeline(replies: usize, caller: Caller, places: usize) -> Self {
        Self { callers: smallvec![caller], places, ..Self::own(Kind::Pipeline, Scan::of(replies)) }
    }

    /// An entry, of the group with this number.
    pub(super) fn entry(group: usize, caller: Caller) -> Self {
        let own = Self::own(Kind::Entry(group), Scan::of(1));
        Self { callers: smallvec![caller], places: 1, ..own }
    }

    pub(super) fn names(entries: usize) -> Self {
        Self::own(Kind::Names(entries), Scan::line())
    }

    pub(super) fn question(members: usize) -> Self {
        Self::own(Kind::Question(members), Scan::of(1))
    }

    pub(super) fn proof() -> Self {
        Self::own(Kind::Proof, Scan::of(1))
    }

    fn own(kind: Kind, scan: Scan) -> Self {
        Self { scan, kind, unproved: Bytes::new(), callers: SmallVec::new(), places: 0 }
    }

    /// One more who looks up this entry.
    pub(super) fn join(&mut self, caller: Caller) {
        self.callers.push(caller);
        self.places += 1;
    }

    /// When the first of its callers will wait no longer.
    fn due(&self) -> Option<u64> {
        self.callers.iter().filter_map(|caller| caller.deadline).min()
    }

    fn expire(&mut self, now: u64) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        for caller in std::mem::take(&mut self.callers) {
            if caller.deadline.is_some_and(|deadline| deadline <= now) {
                caller.tell(Err(Fault::TimedOut(Duration::ZERO)));
            } else {
                self.callers.push(caller);
            }
        }
        if self.callers.is_empty() {
            self.unproved = Bytes::new();
        }
    }

    fn tell(self, outcome: &Result<Said, Fault>) {
        for caller in self.callers {
            caller.tell(outcome.clone());
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    calls: VecDeque<Waiting>,
    /// So many at the front are entries that have their reply, but not their proof.
    unproved: usize,
    /// To the questions of their batch.
    answers: Vec<Option<Arc<[Score]>>>,
    /// How many bytes the largest of the entries that came lately has had.
    usual: usize,
}

impl Queue {
    pub(super) fn extend(&mut self, calls: impl IntoIterator<Item = Waiting>) {
        self.calls.extend(calls);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// What comes next is for this one.
    pub(super) fn next(&mut self) -> Option<&mut Scan> {
        self.calls.get_mut(self.unproved).map(|call| &mut call.scan)
    }

    /// Bytes of a string that are still to come.
    pub(super) fn string(&self) -> usize {
        self.calls.get(self.unproved).map_or(0, |call| call.scan.string())
    }

    /// How many bytes an entry may be expected to have; 0 if none has come.
    pub(super) const fn usual(&self) -> usize {
        self.usual
    }

    /// The replies to the next call are complete: `part`, which is used up, and `rest`. Says how
    /// many places are free again.
    ///
    /// # Errors
    ///
    /// The server is no primary any more: nothing that follows counts. Or it has answered what was not
    /// asked.
    pub(super) fn complete(&mut self, part: &mut Vec<u8>, rest: &[u8]) -> Result<usize, Fault> {
        let Some(call) = self.calls.get_mut(self.unproved) else { return Ok(0) };
        match call.kind {
            Kind::Entry(_) => {
                call.unproved = whole(part, rest);
                let length = call.unproved.len();
                // What is not there says nothing of what is.
                if length > NOTHING {
                    self.usual = length.max(self.usual - self.usual / RECENT);
                }
                self.unproved += 1;
            }
            Kind::Pipeline => {
                let places = call.places;
                if let Some(call) = self.calls.remove(self.unproved) {
                    call.tell(&Ok(Said { own: whole(part, rest), ..Said::default() }));
                }
                return Ok(places);
            }
            Kind::Names(entries) => {
                self.calls.remove(self.unproved);
                self.begin_entries(entries, &joined(part, rest))?;
            }
            Kind::Question(members) => {
                self.calls.remove(self.unproved);
                self.answers.push(scores::read(&joined(part, rest), members));
            }
            Kind::Proof => {
                self.calls.remove(self.unproved);
                return self.prove(Verdict::read(&joined(part, rest)));
            }
        }
        Ok(0)
    }

    /// Either so many entries follow, or an error stands for them all.
    fn begin_entries(&mut self, entries: usize, line: &[u8]) -> Result<(), Fault> {
        match line.split_first() {
            Some((b'*', count))
                if count
                    .strip_suffix(b"\r\n")
                    .is_some_and(|digits| scores::is_number(digits, entries)) =>
            {
                Ok(())
            }
            Some((b'-', _)) => {
                let error = Bytes::copy_from_slice(line);
                let without = self.calls.iter_mut().skip(self.unproved).take(entries);
                without.for_each(|entry| entry.unproved = error.clone());
                self.unproved += entries;
                Ok(())
            }
            _ => Err(Fault::Protocol("MGET")),
        }
    }

    fn prove(&mut self, verdict: Verdict) -> Result<usize, Fault> {
        let mut places = 0;
        for call in self.calls.drain(..std::mem::take(&mut self.unproved)) {
            places += call.places;
            let Waiting { kind: Kind::Entry(group), unproved, mut callers, .. } = call else {
                continue;
            };
            let shared = self.answers.get(group);
            let outcome = |own: Bytes, words: Places| match (verdict, shared) {
                (Verdict::Primary, Some(shared)) => Ok(Said { own, shared: shared.clone(), words }),
                _ => Err(Fault::Unproven),
            };
            let last = callers.pop();
            for mut caller in callers {
                let words = std::mem::take(&mut caller.words);
                caller.tell(outcome(unproved.clone(), words));
            }
            if let Some(mut caller) = last {
                let words = std::mem::take(&mut caller.words);
                caller.tell(outcome(unproved, words));
            }
        }
        self.answers.clear();
        if verdict == Verdict::Replica { Err(Fault::Unproven) } else { Ok(places) }
    }

    /// Ends the waiting of calls whose time is over.
    pub(super) fn expire(&mut self, now: u64) {
        self.calls.iter_mut().for_each(|call| call.expire(now));
    }

    /// When the time of the first that has a deadline is over. Of one batch another may be due earlier,
    /// by the time that it took to put it together.
    pub(super) fn due(&self) -> Option<u64> {
        self.calls.iter().find_map(Waiting::due)
    }

    /// Tells all who wait.
    pub(super) fn fail(&mut self, fault: &Fault) {
        self.unproved = 0;
        self.answers.clear();
        for call in self.calls.drain(..) {
            call.tell(&Err(fault.clone()));
        }
    }
}

/// The same, where it is looked at at once.
fn joined<'r>(part: &mut Vec<u8>, rest: &'r [u8]) -> Cow<'r, [u8]> {
    if part.is_empty() {
        return Cow::Borrowed(rest);
    }
    part.extend_from_slice(rest);
    Cow::Owned(std::mem::take(part))
}

fn whole(part: &mut Vec<u8>, rest: &[u8]) -> Bytes {
    if part.is_empty() {
        return Bytes::copy_from_slice(rest);
    }
    part.extend_from_slice(rest);
    Bytes::from(std::mem::take(part))
}
