//! Server-side HTTP response cache for axum: a tower layer, extractors and linearizable invalidation.
