#![doc = include_str!("../README.md")]

mod case;
mod cases;
mod cx;
mod fixture;
pub mod history;
pub mod http;
mod macros;
mod report;
mod run;
#[cfg(feature = "servers")]
pub mod servers;

pub use self::case::{Case, Kind, Needs};
pub use self::cases::ALL as CASES;
pub use self::fixture::{Fault, Fixture, IntoFixture, Promise, form};
pub use self::report::{Outcome, Report, Verdict};
pub use self::run::{CASE_LIMIT, run_all, run_one};
