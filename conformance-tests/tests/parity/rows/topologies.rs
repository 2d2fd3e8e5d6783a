//! Redis behind Sentinel, and as a cluster: what depends on where keys live.

use std::time::Duration;

use conformance_tests::http::{self, Failure, SCENARIOS, ServerBinary};
use conformance_tests::servers::{Cluster, Sentinels};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::needed;
use crate::column::Column;

/// The themes in which one key, many keys, indexes and counts matter.
const GROUPS: [&str; 4] = ["tags", "processes", "functions", "admin"];

pub(crate) async fn c085_sentinel(column: Column) -> Result<(), Failure> {
    let group = Sentinels::start(&[], Duration::from_secs(5)).map_err(needed)?;
    passes(column.over(&group.url())).await
}

pub(crate) async fn c086_cluster(column: Column) -> Result<(), Failure> {
    let cluster = Cluster::start(&[], Duration::from_secs(5), false).map_err(needed)?;
    passes(column.over(&cluster.url())).await
}

async fn passes(binary: ServerBinary) -> Result<(), Failure> {
    let binary = &binary.arg("--store-timeout=5s");
    let chosen = SCENARIOS.iter().filter(|scenario| GROUPS.contains(&scenario.group));
    stream::iter(chosen)
        .map(|scenario| async move {
            let ended = http::run_one(scenario.id, binary).await;
            ended.map_err(|failure| Failure::new(scenario.id, failure))
        })
        .buffer_unordered(4)
        .try_collect()
        .await
}
