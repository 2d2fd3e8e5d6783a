//! Looking up where nothing has to be waited for, found out or proved first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Topology;
use super::exchange::settle;
use crate::breaker::millis;
use crate::connection::{Attempt, Conn, Replies, Said, Wanted, now_millis};
use crate::error::Fault;

/// A lookup under way to a node that was a proven primary as they were sent.
pub(crate) struct Sent {
    conn: Arc<Conn>,
    attempt: Attempt,
    sent: u64,
    limit: Duration,
    replies: Replies,
}

impl Topology {
    /// Sends a lookup to the shard's node, if all is as it mostly is: the node is known, connected and
    /// proved, and there is room. Otherwise [`Self::call`] knows what to do. What is said comes with
    /// the socket's own proof that a primary said it.
    pub(crate) fn try_look_up<'w, N, W>(
        self: &Arc<Self>,
        shard: u16,
        limit: Duration,
        wanted: Wanted<'_, N, W>,
    ) -> Option<Sent>
    where
        N: FnOnce(&mut Vec<u8>),
        W: Iterator<Item = &'w str>,
    {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        let node = self.known_route(shard)?;
        let sent = now_millis();
        if node.breaker().is_open() || (self.may_fail_over() && node.may_be_replaced(sent)) {
            return None;
        }
        let conn = node.live(sent)?;
        if conn.has_replicas() {
            self.replicas_seen.store(true, Ordering::Relaxed);
        }
        self.confirm_beside(shard, &node);
        let replies = conn.try_look_up(wanted, sent + millis(limit))?;
        Some(Sent { conn, attempt: node.attempt(sent), sent, limit, replies })
    }
}

impl Sent {
    /// What was said, read by `read`; `None` if it is not what that can read. The node is told what
    /// it is to be told.
    pub(crate) async fn read<T>(
        mut self,
        read: impl FnOnce(&Said, &Conn) -> Option<T>,
    ) -> Result<(T, Answered), Unread> {
        // A socket whose runtime ended tells nobody.
        let said = (&mut self.replies).await.unwrap_or(Err(Fault::Stopped));
        let fault = match said {
            Ok(said) => {
                let Some(read) = read(&said, &self.conn) else {
                    self.attempt.forget();
                    return Err(Unread::Again(left(self.sent, self.limit)));
                };
                self.attempt.answered(self.sent);
                let Self { conn, sent, limit, .. } = self;
                return Ok((read, Answered { conn, sent, limit }));
            }
            // Whoever said it may be no primary: what it is, the next try finds out.
            Err(Fault::Unproven) => {
                self.attempt.forget();
                return Err(Unread::Again(left(self.sent, self.limit)));
            }
            Err(Fault::TimedOut(_)) => Fault::TimedOut(self.limit),
            Err(fault) => fault,
        };
        self.conn.failed(&fault);
        settle(self.attempt, &fault);
        Err(match fault {
            Fault::TimedOut(_) => Unread::Fault(fault),
            _ => Unread::Again(left(self.sent, self.limit)),
        })
    }
}

/// Why there are no replies.
pub(crate) enum Unread {
    /// They have to be asked for by way of [`Topology::call`], within the time that is left.
    Again(Duration),
    Fault(Fault),
}

/// What was sent has been answered.
pub(crate) struct Answered {
    pub(crate) conn: Arc<Conn>,
    sent: u64,
    limit: Duration,
}

impl Answered {
    /// What is left of the limit.
    pub(crate) fn left(&self) -> Duration {
        left(self.sent, self.limit)
    }
}

fn left(sent: u64, limit: Duration) -> Duration {
    limit.saturating_sub(Duration::from_millis(now_millis().saturating_sub(sent)))
}
