//! Reading the header fields that matter to a cache, and comparing what they say.

pub mod age;
pub mod cache_control;
pub mod conditional;
pub mod cookie;
pub mod entity_tag;
pub mod groups;
pub mod hop_by_hop;
pub mod list;
pub(crate) mod notes;
pub mod range;
pub mod reference;
pub(crate) mod said;
pub mod targeted;
