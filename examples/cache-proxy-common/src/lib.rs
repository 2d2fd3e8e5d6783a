//! A small caching reverse proxy without its framework.
//!
//! `cache-proxy` and `cache-proxy-actix` are the same program; each wires what is here to its
//! framework, with the framework's cache layer around it.
//!
//! | module | is |
//! |---|---|
//! | [`args`] | the command line, and the policy it stands for |
//! | [`fields`] | what of a message ends at the proxy |
//! | [`origin`] | asking the origin, over a connection for each request |
//! | [`body`] | the origin's answer, read from its connection |
//! | [`failure`] | what a client hears of a broken origin |
//! | [`program`] | what a program does before and after it serves |
//! | [`store`] | `--store` opened |

pub mod args;
pub mod body;
pub mod failure;
pub mod fields;
pub mod origin;
pub mod program;
pub mod store;
