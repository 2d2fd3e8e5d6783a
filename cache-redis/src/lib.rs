//! The Redis store of the response cache: one round trip a hit, linearizable invalidation across processes, single node, Sentinel and Cluster.
