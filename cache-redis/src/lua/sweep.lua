-- KEYS: an index, then the entries that a sample of its members names. ARGV: that sample.
-- Returns the number of members dropped.
--
-- Invariant: a member is dropped only if its entry is absent at this very instant, so an entry
-- that is put again at the same time keeps its place. Keeps an index that is never invalidated
-- from remembering every key it ever had.

local dropped = 0
for i, member in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then
    dropped = dropped + redis.call('SREM', KEYS[1], member)
  end
end
return dropped
