//! What both proxies must hold.

cache_proxy_cases::proxy_cases!(env!("CARGO_BIN_EXE_cache-proxy"));
