//! One proof for the lookups of a batch. Pure.
//!
//! What a lookup reads counts only if a primary said it. `WAIT 0 0` waits for nothing and is refused
//! by whatever has a primary of its own, so it ends each pipeline. It costs Redis half of what the
//! lookup does, nearly all of it for being a command; so lookups that are written together share
//! one, which is the last of them.
//!
//! **What it proves of each, as a `WAIT` of its own did.** The server executes what comes by one
//! socket in its order, so this one was executed after all reads of its batch. A server that had been
//! demoted before one of them, and still was, has refused it: what is so now was so when they were
//! read. What was demoted, rolled back and promoted between a read and its `WAIT` passes, batch or
//! not; its replication id is another one then, which `INFO replication` finds within the
//! `proof_interval`. Each read itself is as late as ever: it is executed after it was written, and
//! that is after its lookup began.
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

/// What ends a batch, and has one reply.
pub(super) const PROOF: &[u8] = b"*3\r\n$4\r\nWAIT\r\n$1\r\n0\r\n$1\r\n0\r\n";

/// The most lookups of a batch. One more share would save less than a thirtieth of a `WAIT`.
const MOST: usize = 32;

/// The bytes of a batch's replies, as far as can be known.
const ROOM: usize = 128 << 10;

/// The batch that is being put together.
#[derive(Debug)]
pub(super) struct Batch {
    lookups: usize,
    most: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { lookups: 0, most: MOST }
    }
}

impl Batch {
    pub(super) const fn add(&mut self) {
        self.lookups += 1;
    }

    /// Whether it has to end before another lookup comes.
    pub(super) const fn is_full(&self) -> bool {
        self.lookups >= self.most
    }

    /// Begins another one. Whether there was one, which needs its proof.
    pub(super) const fn end(&mut self) -> bool {
        std::mem::replace(&mut self.lookups, 0) > 0
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
        let mut batch = Batch::default();
        assert!(!batch.is_full() && !batch.end(), "nothing, which needs no proof");
        for (bytes, most) in [(0, MOST), (1_700, MOST), (16 << 10, 8), (ROOM, 1), (8 << 20, 1)] {
            batch.expect(bytes);
            for _ in 0..most {
                assert!(!batch.is_full(), "{bytes} bytes each");
                batch.add();
            }
            assert!(batch.is_full(), "{bytes} bytes each");
            assert!(batch.end() && !batch.end());
        }
    }
}
