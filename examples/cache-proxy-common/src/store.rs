//! The store that `--store` names, as the testbeds open it.

use cache_core::Cache;
use testbed_common::args::Options as Testbed;
use testbed_common::store::Opened;

use crate::args::Options;

/// A cache over the store under the proxy's policy.
///
/// # Errors
///
/// An unknown name, a bad address, a server that cannot be used, or a setting that cannot be.
pub async fn cache(options: &Options) -> Result<Cache, String> {
    let mut testbed = Testbed::default();
    testbed.store.clone_from(&options.store);
    testbed.prefix.clone_from(&options.prefix);
    testbed.policy = options.policy.clone();
    let opened = Opened::open(&testbed).await.map_err(|error| error.to_string())?;
    opened.cache(&testbed).map_err(|error| error.to_string())
}
