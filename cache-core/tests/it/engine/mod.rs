//! The driver, its flights and its rules, over the memory store and a handler under control.

mod cases;
pub(crate) mod logged;
mod mutants;
mod nominated;
mod ranges;
mod remembering;
pub(crate) mod rig;
mod waiting;
