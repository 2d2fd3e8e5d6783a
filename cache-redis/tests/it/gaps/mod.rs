//! A fault in every gap between two calls, in every topology.
//!
//! The table of faults and the tests that cover them is in `tests/README.md`.

pub(crate) mod cut;
pub(crate) mod deployment;
mod failover;
mod fault;
mod migration;
mod story;

use std::sync::atomic::{AtomicU32, Ordering};

use self::deployment::{Deployment, Place};
use self::fault::{
    CONNECTIONS, EVICTIONS, FULL, Fault, LOSSES, OLDER_SNAPSHOT, PAUSE, PLANTS, RESTART,
};
use self::migration::{MIGRATIONS, THERE_AND_BACK};
use self::story::{STEPS, Story};

/// Tells the story once with the fault's first strike in gap `gap` and the others `apart` steps
/// after each other; those that have not come by the end strike then.
async fn tell(deployment: &mut Deployment, fault: &Fault, gap: usize, apart: usize) -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("gap-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let place = Place::new(deployment, prefix);
    let what = format!("{}, gap {gap}, apart {apart}", fault.name);
    let mut story = Story::begin(what, deployment, &place, fault.errors).await;
    let mut strikes = fault.strikes.iter();
    let mut next = gap;
    for step in 0..STEPS {
        if step == next
            && let Some(strike) = strikes.next()
        {
            strike(deployment, &place);
            next += apart;
        }
        story.step(step).await;
    }
    for strike in strikes {
        strike(deployment, &place);
    }
    story.end().await
}

/// Every fault in every gap.
async fn every_gap(mut deployment: Deployment, faults: &[Fault]) {
    for fault in faults {
        for gap in 0..STEPS {
            tell(&mut deployment, fault, gap, 3).await;
        }
    }
}

/// Some gaps, for faults that take their time: around the fill, the invalidation and the put.
async fn some_gaps(mut deployment: Deployment, fault: &Fault) {
    for (gap, apart) in [(1, 4), (4, 1), (5, 2)] {
        tell(&mut deployment, fault, gap, apart).await;
    }
}

/// Every gap, and every distance between two strikes.
async fn every_pair_of_gaps(mut deployment: Deployment, fault: &Fault) {
    for gap in 0..STEPS {
        for apart in 1..=STEPS - gap {
            tell(&mut deployment, fault, gap, apart).await;
        }
    }
}

/// The cases of one topology.
macro_rules! topology {
    ($name:ident, $start:expr) => {
        mod $name {
            use super::*;

            /// Without a fault the story is one of hits, so it can tell more than misses.
            #[tokio::test]
            async fn without_a_fault_it_caches() {
                let nothing = Fault { name: "nothing", strikes: &[], errors: false };
                let hits = tell(&mut $start, &nothing, 0, 1).await;
                assert!(hits >= 5, "{hits}");
            }

            #[tokio::test]
            async fn data_lost_at_every_gap() {
                every_gap($start, &LOSSES).await;
            }

            #[tokio::test]
            async fn data_planted_at_every_gap() {
                every_gap($start, &PLANTS).await;
            }

            #[tokio::test]
            async fn connections_lost_at_every_gap() {
                every_gap($start, &CONNECTIONS).await;
            }

            #[tokio::test]
            async fn memory_full_at_every_gap() {
                every_gap($start, &[FULL]).await;
            }

            #[tokio::test]
            async fn eviction_in_some_gaps() {
                let mut deployment = $start;
                for fault in &EVICTIONS {
                    tell(&mut deployment, fault, 4, 1).await;
                    tell(&mut deployment, fault, 5, 1).await;
                    assert!(deployment.evicted() > 0, "{}", fault.name);
                }
            }

            #[tokio::test]
            #[ignore = "soak"]
            async fn soak_eviction_at_every_gap() {
                every_gap($start, &EVICTIONS).await;
            }

            #[tokio::test]
            async fn an_older_snapshot_in_some_gaps() {
                some_gaps($start, &OLDER_SNAPSHOT).await;
            }

            #[tokio::test]
            #[ignore = "soak"]
            async fn soak_an_older_snapshot_in_every_pair_of_gaps() {
                every_pair_of_gaps($start, &OLDER_SNAPSHOT).await;
            }

            #[tokio::test]
            async fn a_restart_in_some_gaps() {
                some_gaps($start, &RESTART).await;
            }

            #[tokio::test]
            #[ignore = "soak"]
            async fn soak_a_restart_at_every_gap() {
                every_gap($start, &[RESTART]).await;
            }
        }
    };
}

topology!(single, Deployment::single());
topology!(sentinel, Deployment::sentinel());
topology!(cluster, Deployment::cluster());

/// A pause that ends before anybody fails over.
#[tokio::test]
async fn single_paused_and_resumed() {
    some_gaps(Deployment::single(), &PAUSE).await;
}

#[tokio::test]
async fn cluster_paused_and_resumed() {
    some_gaps(Deployment::cluster(), &PAUSE).await;
}

#[tokio::test]
async fn sentinel_paused_and_resumed() {
    some_gaps(Deployment::sentinel(), &PAUSE).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_paused_and_resumed_in_every_pair_of_gaps() {
    every_pair_of_gaps(Deployment::single(), &PAUSE).await;
    every_pair_of_gaps(Deployment::cluster(), &PAUSE).await;
}

#[tokio::test]
async fn cluster_slots_on_the_move() {
    let mut deployment = Deployment::cluster();
    for fault in &MIGRATIONS {
        for gap in 0..STEPS {
            tell(&mut deployment, fault, gap, 1).await;
        }
    }
    some_gaps(deployment, &THERE_AND_BACK).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_cluster_slots_on_the_move_in_every_pair_of_gaps() {
    for fault in MIGRATIONS.iter().chain([&THERE_AND_BACK]) {
        every_pair_of_gaps(Deployment::cluster(), fault).await;
    }
}
