//! One run: servers, processes, faults, and the check of what they saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conformance_tests::history::{Config, History, Random, Register, Tally, Verdict, machine_time};

use crate::args::Options;
use crate::crew::{Crew, Office};
use crate::deployment::{Deployment, FAILOVER_AFTER, Topology};
use crate::error::Error;
use crate::fault::Field;
use crate::protocol::Job;
use crate::watch::Watch;
use crate::{report, say};

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) tallies: BTreeMap<String, Tally>,
}

/// The stream of random numbers that chooses the faults; tasks have those of their numbers.
const FAULTS: u64 = u64::MAX;

pub(crate) fn run(
    options: &Options,
    topology: Topology,
    seed: u64,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let seconds = options.duration.as_secs();
    say(format_args!("{}, seed {seed}, {seconds} s", topology.as_str()));
    let users: Vec<String> = (0..options.workers).map(|n| format!("worker{n}")).collect();
    let deployment = Deployment::start(topology, &users)?;
    let started = machine_time();
    let config =
        Config::new(seed).with_tasks(3).with_keys(32).with_tags(12).with_rest(50).with_lull(40);
    let office = Arc::new(Office::new(Register::new(&config)));
    let run = format!("run-{seed:x}-{started:x}");
    let until = started + nanos(options.duration);
    let job = |user: &String| Job {
        handle: 0,
        config,
        run: run.clone(),
        until,
        url: deployment.url(user),
        mutant: options.mutant,
        failover_after: FAILOVER_AFTER,
    };
    let jobs = users.iter().map(job).collect();
    let crew = Crew::start(Arc::clone(&office), jobs)?;
    let watch = Watch::over(deployment.nodes().iter().map(|node| node.url()), &office)?;
    let random = Random::new(seed, FAULTS);
    let field = Field::new(deployment, crew, &office, (&users, &run), random, &options.faults);
    let (crew, _servers) = disturb(field, until, stop)?;
    crew.finish()?;
    watch.stop();
    let history = History::new(seed, office.take());
    let verdict = history.check();
    let tallies = history.tally(&verdict);
    report::run(started, &history, &verdict, &tallies);
    Ok(Outcome { verdict, tallies })
}

/// Inflicts faults, one after the other with pauses between them, until the time is over.
fn disturb(
    mut field: Field<'_>,
    until: u64,
    stop: &AtomicBool,
) -> Result<(Crew, Deployment), Error> {
    while machine_time() < until {
        let pause = Duration::from_millis(u64::from(100 + field.random.below(900)));
        let left = Duration::from_nanos(until.saturating_sub(machine_time()));
        std::thread::sleep(pause.min(left));
        if stop.load(Ordering::SeqCst) {
            return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
        }
        if machine_time() < until {
            field.inflict_one()?;
        }
    }
    Ok((field.crew, field.deployment))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
