//! The in-memory store of the response cache: bounded by bytes, with linearizable invalidation by tag.
