//! What is done to servers and processes.

mod data;
mod process;
mod server;

use std::time::Duration;

use conformance_tests::history::{Event, Fault, Random, machine_time};
use conformance_tests::servers::ServerError;

use crate::crew::{Crew, Office};
use crate::deployment::{Deployment, Topology};
use crate::error::Error;

/// A fault that can be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultKind {
    pub(crate) name: &'static str,
    /// How often it is chosen, relative to others.
    weight: u32,
    topologies: &'static [Topology],
    /// Whether a store may forget or refuse while it goes on.
    forgets: bool,
    /// Whether it stops a server: then all are waited for afterwards.
    pub(crate) stops_servers: bool,
    /// Whether it is over at once: then it may come on top of another.
    at_once: bool,
    inflict: fn(&mut Field<'_>) -> Result<(), Error>,
}

/// How long the servers may take to be in step again after a fault.
const MEND_LIMIT: Duration = Duration::from_secs(90);

const ANY: &[Topology] = &Topology::ALL;
const REPLICATED: &[Topology] = &[Topology::Sentinel, Topology::Cluster];
const CLUSTER: &[Topology] = &[Topology::Cluster];

const fn light(
    name: &'static str,
    forgets: bool,
    inflict: fn(&mut Field<'_>) -> Result<(), Error>,
) -> FaultKind {
    FaultKind {
        name,
        weight: 2,
        topologies: ANY,
        forgets,
        stops_servers: false,
        at_once: true,
        inflict,
    }
}

/// The same, if it takes its time.
const fn slow(kind: FaultKind) -> FaultKind {
    FaultKind { at_once: false, ..kind }
}

const fn heavy(
    name: &'static str,
    topologies: &'static [Topology],
    inflict: fn(&mut Field<'_>) -> Result<(), Error>,
) -> FaultKind {
    FaultKind {
        name,
        weight: 3,
        topologies,
        forgets: true,
        stops_servers: true,
        at_once: false,
        inflict,
    }
}

/// All faults.
pub(crate) const ALL: &[FaultKind] = &[
    // One process only.
    light("cut", false, process::cut),
    slow(light("refuse", false, process::refuse)),
    light("kill-worker", false, process::kill),
    slow(light("pause-worker", true, process::pause)),
    // Keys.
    light("lose-metadata", true, data::lose_metadata),
    light("lose-indexes", false, data::lose_indexes),
    light("lose-entries", true, data::lose_entries),
    light("garble-metadata", true, data::garble_metadata),
    light("garble-entries", true, data::garble_entries),
    light("flush", true, data::flush),
    light("flush-scripts", false, data::flush_scripts),
    slow(light("evict", true, data::evict)),
    slow(light("full", true, data::full)),
    // Servers.
    heavy("pause-server", ANY, server::pause),
    heavy("restart-empty", ANY, server::restart_empty),
    heavy("restart-snapshot", ANY, server::restart_snapshot),
    heavy("failover", REPLICATED, server::fail_over),
    heavy("failover-lossy", REPLICATED, server::fail_over_with_loss),
    heavy("failover-paused", REPLICATED, server::fail_over_while_paused),
    FaultKind { stops_servers: false, ..heavy("migrate", CLUSTER, server::migrate) },
];

/// The faults of a list: `all`, `none`, `light`, or names with commas between them.
pub(crate) fn named(list: &str) -> Option<Vec<&'static FaultKind>> {
    match list {
        "all" => Some(ALL.iter().collect()),
        "none" => Some(Vec::new()),
        "light" => Some(ALL.iter().filter(|kind| !kind.stops_servers).collect()),
        _ => list.split(',').map(|name| ALL.iter().find(|kind| kind.name == name)).collect(),
    }
}

/// Where faults happen.
#[derive(Debug)]
pub(crate) struct Field<'f> {
    pub(crate) deployment: Deployment,
    pub(crate) crew: Crew,
    pub(crate) users: &'f [String],
    pub(crate) office: &'f Office,
    /// The prefix of the stores.
    pub(crate) prefix: &'f str,
    pub(crate) random: Random,
    kinds: Vec<&'static FaultKind>,
}

impl<'f> Field<'f> {
    pub(crate) fn new(
        deployment: Deployment,
        crew: Crew,
        office: &'f Office,
        (users, prefix): (&'f [String], &'f str),
        random: Random,
        kinds: &[&'static FaultKind],
    ) -> Self {
        let topology = deployment.topology();
        let kinds = kinds.iter().filter(|kind| kind.topologies.contains(&topology));
        let kinds = kinds.copied().collect();
        Self { deployment, crew, users, office, prefix, random, kinds }
    }

    /// Inflicts one of the faults, and says so in the log. A fault that the servers do not let
    /// happen (a replica that is not in step, say) is none.
    pub(crate) fn inflict_one(&mut self) -> Result<(), Error> {
        let Some(kind) = self.choose(|_| true) else { return Ok(()) };
        self.inflict(kind)
    }

    fn inflict(&mut self, kind: &'static FaultKind) -> Result<(), Error> {
        let from = machine_time();
        let done = (kind.inflict)(self);
        if kind.stops_servers {
            self.mend().map_err(|error| match error {
                Error::Server(error) => Error::Broken { fault: kind.name, error },
                error => error,
            })?;
        }
        let injected = match done {
            Ok(()) => true,
            Err(Error::Server(_)) => false,
            Err(error) => return Err(error),
        };
        let (name, to, forgets) = (kind.name.to_owned(), machine_time(), kind.forgets);
        self.office.log(Event::Fault(Fault { name, from, to, forgets, injected }));
        Ok(())
    }

    /// Starts and resumes what does not run, and waits until all are in step.
    fn mend(&mut self) -> Result<(), Error> {
        let end = machine_time() + nanos(MEND_LIMIT);
        self.deployment.start_again()?;
        while !self.deployment.is_whole() {
            if machine_time() > end {
                let text = format!("the servers are not in step within {MEND_LIMIT:?}");
                return Err(ServerError::new(text).into());
            }
            self.hold(Duration::from_millis(300))?;
        }
        Ok(())
    }

    /// One of the kinds, by their weights.
    fn choose(&mut self, wanted: impl Fn(&FaultKind) -> bool) -> Option<&'static FaultKind> {
        let kinds: Vec<_> = self.kinds.iter().copied().filter(|kind| wanted(kind)).collect();
        let mut place = self.random.below(kinds.iter().map(|kind| kind.weight).sum());
        kinds.into_iter().find(|kind| {
            let found = place < kind.weight;
            place = place.saturating_sub(kind.weight);
            found
        })
    }

    /// Waits; now and then something else happens meanwhile.
    fn hold(&mut self, time: Duration) -> Result<(), Error> {
        const STEP: u64 = 100_000_000;
        let end = machine_time() + nanos(time);
        loop {
            let left = end.saturating_sub(machine_time());
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(left.min(STEP)));
            if self.random.percent(8)
                && let Some(kind) = self.choose(|kind| kind.at_once)
            {
                self.inflict(kind)?;
            }
        }
    }

    /// Between two times, in milliseconds.
    fn some_time(&mut self, least: u32, most: u32) -> Duration {
        let millis = least + self.random.below(most.saturating_sub(least).saturating_add(1));
        Duration::from_millis(u64::from(millis))
    }

    /// One of the primaries, by its place.
    fn some_primary(&mut self) -> Result<usize, Error> {
        let primaries = self.deployment.primaries();
        let count = u32::try_from(primaries.len()).unwrap_or(u32::MAX);
        let chosen = primaries.get(self.random.below(count) as usize).copied();
        Ok(chosen.ok_or_else(|| ServerError::new("no primary answers"))?)
    }

    /// One of the shards, as its keys begin.
    fn some_shard(&mut self) -> String {
        let shard = self.random.below(self.deployment.shards());
        format!("{{{}:{shard}}}", self.prefix)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
