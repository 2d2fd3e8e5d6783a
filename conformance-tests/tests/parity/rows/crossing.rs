//! One store behind both frameworks at once.

use conformance_tests::http::{self, Failure, Needs, SCENARIOS};

use crate::column::Column;

/// All that is asked of two processes over one store, of one process of each framework.
pub(crate) async fn c096_frameworks_share_one_store(column: Column) -> Result<(), Failure> {
    let binary = column.binary().beside(column.across().binary());
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.needs == Needs::OneStore) {
        let ended = http::run_one(scenario.id, &binary).await;
        ended.map_err(|failure| Failure::new(scenario.id, failure))?;
    }
    Ok(())
}
