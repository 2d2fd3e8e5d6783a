-- KEYS: metadata. ARGV: a fresh epoch, the shard count.
-- Returns {epoch, clock, floor, incarnation, shard count, 1 if the epoch is new}.
--
-- Invariant: two clients that mint at the same time end up with one epoch, the first one's.

return { current(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])) }
