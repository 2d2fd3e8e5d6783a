//! What Sentinels say of a primary.

use futures_util::future::join_all;
use redis::{Pipeline, Value};

use super::Topology;
use super::ask::ask_all;
use crate::connection::{Dial, text};
use crate::error::Fault;
use crate::url::Address;

impl Topology {
    /// Asks all Sentinels at once and takes the newest answer.
    pub(super) async fn ask_sentinels(
        &self,
        sentinels: &[Address],
        master: &str,
    ) -> Result<(), Fault> {
        let views = self.sentinel_views(sentinels, master).await?;
        self.route_all(newest(&views).ok_or(Fault::NoRoute(0))?);
        Ok(())
    }

    /// At least one, or why none.
    pub(super) async fn sentinel_views(
        &self,
        sentinels: &[Address],
        master: &str,
    ) -> Result<Vec<View>, Fault> {
        let dial = Dial {
            db: 0,
            credentials: self.sentinel_credentials.clone(),
            // Half of it, so that one Sentinel that hangs does not use up a call's limit.
            connect_limit: self.dial.connect_limit.min(self.dial.response_limit / 2),
            ..(*self.dial).clone()
        };
        let (dial, pipe) = (&dial, &questions(master));
        let asking = sentinels.iter().map(|each| ask_all(dial, each, pipe, ANSWERS));
        let mut last = Fault::NoRoute(0);
        let mut views = Vec::with_capacity(sentinels.len());
        for answers in join_all(asking).await {
            match answers.and_then(|answers| View::read(&answers)) {
                Ok(view) => views.push(view),
                Err(fault) => last = fault,
            }
        }
        if views.is_empty() { Err(last) } else { Ok(views) }
    }
}

/// The number of replies to [`questions`].
pub(super) const ANSWERS: usize = 2;

/// One Sentinel's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Whom it takes for the primary.
    pub(super) address: Address,
    /// Which configuration says so: each failover has a higher number than those before it.
    epoch: u64,
    /// It is replacing that primary: another one is about to be promoted, or is already.
    replacing: bool,
}

/// What a Sentinel is asked about the primary of this name.
pub(super) fn questions(master: &str) -> Pipeline {
    let mut pipe = Pipeline::with_capacity(ANSWERS);
    pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    pipe.cmd("SENTINEL").arg("MASTER").arg(master);
    pipe
}

impl View {
    /// Reads the replies. The second may be forbidden; then the first has to do.
    pub(super) fn read(answers: &[Value]) -> Result<Self, Fault> {
        let [address, details] = answers else { return Err(Fault::Protocol("number of replies")) };
        let address = master_address(address)?;
        let Value::Array(fields) = details else {
            return Ok(Self { address, epoch: 0, replacing: false });
        };
        let field = |name: &str| {
            let mut pairs = fields.chunks_exact(2);
            pairs.find_map(|pair| match pair {
                [key, value] if text(key).is_ok_and(|key| key == name) => text(value).ok(),
                _ => None,
            })
        };
        let epoch = field("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        let flags = field("flags").unwrap_or_default();
        let replacing = flags.split(',').any(|flag| flag == "failover_in_progress");
        Ok(Self { address, epoch, replacing })
    }
}

/// The primary by the newest configuration, whoever knows it: the Sentinels learn of a failover
/// within seconds of each other. Among equals the one that most of them name.
pub(super) fn newest(views: &[View]) -> Option<&Address> {
    let count = |view: &View| views.iter().filter(|other| other.address == view.address).count();
    views.iter().max_by_key(|view| (view.epoch, count(view))).map(|view| &view.address)
}

/// Whether one of the Sentinels is replacing this primary.
pub(super) fn is_being_replaced(views: &[View], address: &Address) -> bool {
    views.iter().any(|view| view.replacing && view.address == *address)
}

fn master_address(value: &Value) -> Result<Address, Fault> {
    match value {
        Value::Array(parts) => match parts.as_slice() {
            [host, port] => Ok(Address::Tcp {
                host: text(host)?.to_owned(),
                port: text(port)?.parse().map_err(|_| Fault::Protocol("a port"))?,
            }),
            _ => Err(Fault::Protocol("SENTINEL GET-MASTER-ADDR-BY-NAME")),
        },
        Value::Nil => Err(Fault::Unsupported("a master that Sentinel does not know".to_owned())),
        Value::ServerError(error) => Err(Fault::server(error)),
        _ => Err(Fault::Protocol("SENTINEL GET-MASTER-ADDR-BY-NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn view(port: u16, epoch: &str, flags: &str) -> View {
        let address = Value::Array(vec![bulk("h"), bulk(&port.to_string())]);
        let details = ["name", "mine", "flags", flags, "config-epoch", epoch].map(bulk);
        View::read(&[address, Value::Array(details.to_vec())]).unwrap()
    }

    fn address(port: u16) -> Address {
        Address::Tcp { host: "h".to_owned(), port }
    }

    #[test]
    fn the_newest_configuration_wins_whoever_knows_it() {
        let views = [view(1, "3", "master"), view(2, "4", "master"), view(1, "3", "master")];
        assert_eq!(newest(&views), Some(&address(2)));
        let views = [view(2, "3", "master"), view(1, "3", "master"), view(1, "3", "master")];
        assert_eq!(newest(&views), Some(&address(1)));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn one_sentinel_that_replaces_a_primary_is_enough() {
        let replacing = "master,s_down,o_down,failover_in_progress";
        let views = [view(1, "3", "master"), view(1, "3", replacing)];
        assert!(is_being_replaced(&views, &address(1)));
        assert!(!is_being_replaced(&views, &address(2)));
        assert!(!is_being_replaced(&views[..1], &address(1)));
    }

    #[test]
    fn a_sentinel_that_tells_only_the_address_will_do() {
        let address = Value::Array(vec![bulk("h"), bulk("7")]);
        let view = View::read(&[address, Value::Nil]).unwrap();
        assert_eq!((view.epoch, view.replacing), (0, false));
        for garbage in [vec![], vec![Value::Nil, Value::Nil], vec![Value::Int(1), Value::Nil]] {
            assert!(View::read(&garbage).is_err(), "{garbage:?}");
        }
    }
}
