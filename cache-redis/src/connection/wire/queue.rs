//! Who waits for replies of a socket, in the order in which these will come. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::batch::{Place, Verdict};
use super::scan::Scan;
use crate::error::Fault;

/// Of how many lookups a mean is kept.
const RECENT: usize = 8;

/// What was said to one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The replies to its own commands.
    pub(crate) own: Bytes,
    /// To a lookup: the reply to its question, which others share.
    pub(crate) shared: Bytes,
    /// How much of that is for words of others, before its own.
    pub(crate) before: usize,
}

#[derive(Debug)]
pub(super) struct Waiting {
    scan: Scan,
    kind: Kind,
    /// A lookup's own reply, until its proof has come.
    unproved: Bytes,
    /// None once it has been told that it is too late, and for a proof.
    caller: Option<Caller>,
    /// In monotonic milliseconds.
    deadline: Option<u64>,
    places: usize,
}

type Caller = oneshot::Sender<Result<Said, Fault>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Gets its replies at once.
    Pipeline,
    /// Gets its reply when the proof behind it has come, with its part of the answers.
    Lookup(Place),
    /// Asks for lookups before it.
    Question,
    /// Proves the lookups before it, and the answers to their questions.
    Proof,
}

impl Waiting {
    pub(super) fn new(
        kind: Kind,
        replies: usize,
        caller: Caller,
        deadline: Option<u64>,
        places: usize,
    ) -> Self {
        let unproved = Bytes::new();
        Self { scan: Scan::of(replies), kind, unproved, caller: Some(caller), deadline, places }
    }

    pub(super) const fn question() -> Self {
        Self::own(Kind::Question)
    }

    pub(super) const fn proof() -> Self {
        Self::own(Kind::Proof)
    }

    /// The socket's own, with one reply.
    const fn own(kind: Kind) -> Self {
        let scan = Scan::of(1);
        Self { scan, kind, unproved: Bytes::new(), caller: None, deadline: None, places: 0 }
    }

    /// Whoever has given up does not mind.
    fn tell(self, outcome: Result<Said, Fault>) {
        let _ = self.caller.map(|caller| caller.send(outcome));
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    calls: VecDeque<Waiting>,
    /// So many at the front are lookups that have their reply, but not their proof.
    unproved: usize,
    /// To the questions of their batch.
    answers: Vec<Bytes>,
    /// How many bytes the replies to a lookup have had lately.
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

    /// How many bytes the replies to a lookup have, as a rule.
    pub(super) const fn usual(&self) -> usize {
        self.usual
    }

    /// The replies to the next call are complete: `part`, which is used up, and `rest`. Says how
    /// many places are free again.
    ///
    /// # Errors
    ///
    /// The server is no primary any more: nothing that follows counts.
    pub(super) fn complete(&mut self, part: &mut Vec<u8>, rest: &[u8]) -> Result<usize, Fault> {
        let Some(call) = self.calls.get_mut(self.unproved) else { return Ok(0) };
        match call.kind {
            Kind::Lookup(_) => {
                call.unproved = whole(part, rest);
                let length = call.unproved.len();
                let before = if self.usual == 0 { length } else { self.usual };
                self.usual = (before * (RECENT - 1) + length) / RECENT;
                self.unproved += 1;
                Ok(0)
            }
            Kind::Question => {
                self.calls.remove(self.unproved);
                self.answers.push(whole(part, rest));
                Ok(0)
            }
            Kind::Proof => {
                self.calls.remove(self.unproved);
                part.extend_from_slice(rest);
                let verdict = Verdict::read(part);
                part.clear();
                self.prove(verdict)
            }
            Kind::Pipeline => {
                let places = call.places;
                if let Some(call) = self.calls.remove(self.unproved) {
                    call.tell(Ok(Said { own: whole(part, rest), ..Said::default() }));
                }
                Ok(places)
            }
        }
    }

    fn prove(&mut self, verdict: Verdict) -> Result<usize, Fault> {
        let mut places = 0;
        for mut call in self.calls.drain(..std::mem::take(&mut self.unproved)) {
            places += call.places;
            let answer = match call.kind {
                Kind::Lookup(place) => {
                    self.answers.get(place.question).map(|answer| (answer.clone(), place.before))
                }
                Kind::Pipeline | Kind::Question | Kind::Proof => None,
            };
            let outcome = match (verdict, answer) {
                (Verdict::Primary, Some((shared, before))) => {
                    Ok(Said { own: std::mem::take(&mut call.unproved), shared, before })
                }
                _ => Err(Fault::Unproven),
            };
            call.tell(outcome);
        }
        self.answers.clear();
        if verdict == Verdict::Replica { Err(Fault::Unproven) } else { Ok(places) }
    }

    /// Ends the waiting of calls whose time is over.
    pub(super) fn expire(&mut self, now: u64) {
        for call in &mut self.calls {
            if call.deadline.is_some_and(|deadline| deadline <= now)
                && let Some(caller) = call.caller.take()
            {
                call.unproved = Bytes::new();
                let _ = caller.send(Err(Fault::TimedOut(Duration::ZERO)));
            }
        }
    }

    /// When the time of the first that has a deadline is over.
    pub(super) fn due(&self) -> Option<u64> {
        let waiting = self.calls.iter().filter(|call| call.caller.is_some());
        waiting.filter_map(|call| call.deadline).next()
    }

    /// Tells all who wait.
    pub(super) fn fail(&mut self, fault: &Fault) {
        self.unproved = 0;
        self.answers.clear();
        for call in self.calls.drain(..) {
            call.tell(Err(fault.clone()));
        }
    }
}

fn whole(part: &mut Vec<u8>, rest: &[u8]) -> Bytes {
    if part.is_empty() {
        return Bytes::copy_from_slice(rest);
    }
    part.extend_from_slice(rest);
    Bytes::from(std::mem::take(part))
}
