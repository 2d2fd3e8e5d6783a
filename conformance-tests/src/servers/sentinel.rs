//! A primary, a replica, and three Sentinels that watch them.

use std::time::Duration;

use super::{Server, ServerError, Tls, wait_for};

const START_LIMIT: Duration = Duration::from_secs(60);

/// The name that the Sentinels know the group by.
const MASTER: &str = "mine";

/// Two data nodes and three Sentinels.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "its parts, for tests to break")]
pub struct Sentinels {
    /// The primary, then the replica, as they were at the start.
    pub data: [Server; 2],
    /// The Sentinels. Two of them agree on a failover.
    pub sentinels: [Server; 3],
}

impl Sentinels {
    /// Starts all and waits until they know each other.
    ///
    /// A primary that is silent for `down_after` is replaced. `args` are settings of the data
    /// nodes, as for [`Server::start`].
    ///
    /// # Errors
    ///
    /// One of them cannot be started, or they do not find each other within a minute.
    pub fn start(args: &[&str], down_after: Duration) -> Result<Self, ServerError> {
        Self::start_with(args, down_after, None)
    }

    /// The same with TLS among all of them and for stores.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_tls(args: &[&str], down_after: Duration, tls: &Tls) -> Result<Self, ServerError> {
        Self::start_with(args, down_after, Some(tls))
    }

    fn start_with(
        args: &[&str],
        down_after: Duration,
        tls: Option<&Tls>,
    ) -> Result<Self, ServerError> {
        let spawn = |server: Server| {
            let mut server = match tls {
                Some(tls) => server.with_tls(tls)?,
                None => server,
            };
            server.spawn().map(|()| server)
        };
        let data = |own: &[&str]| spawn(Server::prepare(&[args, own].concat())?);
        let primary = data(&["--repl-timeout", "60"])?;
        let port = primary.service_port().to_string();
        let replica = data(&["--replicaof", "127.0.0.1", &port])?;
        let sentinel = || {
            spawn(Server::sentinel(vec![
                "sentinel resolve-hostnames no".to_owned(),
                format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2"),
                format!("sentinel down-after-milliseconds {MASTER} {}", down_after.as_millis()),
                format!("sentinel failover-timeout {MASTER} 3000"),
            ])?)
        };
        let group =
            Self { data: [primary, replica], sentinels: [sentinel()?, sentinel()?, sentinel()?] };
        wait_for("the Sentinels to find each other", START_LIMIT, || group.is_whole())?;
        Ok(group)
    }

    /// From now on a primary that is silent for `down_after` is replaced.
    ///
    /// # Errors
    ///
    /// A Sentinel that runs does not take it.
    pub fn replace_after(&self, down_after: Duration) -> Result<(), ServerError> {
        let down_after = down_after.as_millis().to_string();
        let command = ["SENTINEL", "SET", MASTER, "down-after-milliseconds", &down_after];
        let mut running = self.sentinels.iter().filter(|sentinel| sentinel.is_up());
        running.try_for_each(|sentinel| sentinel.run::<()>(&command))
    }

    /// Whether the replica is in step, and every Sentinel knows it and the other two.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let links =
            self.data.iter().filter_map(|node| node.info("replication", "master_link_status"));
        let known = |sentinel: &Server| {
            sentinel.info("sentinel", "master0").is_some_and(|line| {
                line.contains("status=ok") && line.contains("slaves=1,sentinels=3")
            })
        };
        links.collect::<Vec<_>>() == ["up"] && self.sentinels.iter().all(known)
    }

    /// What a store connects to.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts = self.sentinels.each_ref();
        let hosts = hosts.map(|server| format!("127.0.0.1:{}", server.service_port()));
        let has_tls = self.sentinels.iter().any(|server| server.tls_port().is_some());
        let scheme = if has_tls { "rediss-sentinel" } else { "redis-sentinel" };
        format!("{scheme}://{}/{MASTER}", hosts.join(","))
    }
}
