#![allow(missing_docs)]
pub mod clock;
pub mod entry;
pub mod field;
pub mod key;
pub mod store;
pub mod tag;
