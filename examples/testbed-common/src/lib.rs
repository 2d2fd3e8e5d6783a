//! The testbed without its framework: arguments, policies, state and answers.
//!
//! `testbed-axum` and `testbed-actix` are the same small application; what they answer is decided
//! here, and each of them only wires it to its framework. The contract is exact, since outside
//! clients drive it byte by byte.
//!
//! | module | is |
//! |---|---|
//! | [`args`] | the command line |
//! | [`program`] | what the programs do before and after they serve |
//! | [`store`] | `--store` opened, and its keys listed |
//! | [`policies`] | the policy of every route |
//! | [`bed`] | what the handlers share: run counters, users, switches |
//! | [`routes`] | what every route answers |
//! | [`admin`] | what the `/admin/*` routes read and answer |
//! | [`cas`] | the registers of the consistency check |
//! | [`answer`] | JSON and text answers |

pub mod admin;
pub mod answer;
pub mod args;
pub mod bed;
pub mod cas;
pub mod policies;
pub mod program;
pub mod routes;
pub mod store;
