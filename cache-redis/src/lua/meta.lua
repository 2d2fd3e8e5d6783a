-- Shared head of `mint` and `invalidate`.
--
-- Invariant: when `current` returns, KEYS[1] is a sorted set written in the incarnation of the
-- very server that runs this script, with a live clock. What was there before is kept only if that
-- much can be proved; else it is replaced by a new epoch, which makes every older entry a miss.
-- The epoch comes from the client: Redis' own random repeats across fresh servers.

local LIMIT = 4503599627370496 -- 2^52

local function incarnation()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local data = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  local sum = tonumber(string.sub(run, 1, 13), 16) + tonumber(string.sub(data, 1, 13), 16)
  if sum >= LIMIT then sum = sum - LIMIT end
  return sum
end

local function whole(n, low)
  return n and n >= low and n < LIMIT and n == math.floor(n)
end

-- Returns epoch, clock, floor, incarnation, shard count, and 1 if the epoch is new.
local function current(meta, fresh, shards)
  local here = incarnation()
  local s = redis.pcall('ZMSCORE', meta, '#e', '#i', '#c', '#f', '#s')
  if not s.err then
    local e, i, c, f, n =
      tonumber(s[1]), tonumber(s[2]), tonumber(s[3]), tonumber(s[4]), tonumber(s[5])
    if e and i and f and n and whole(-e, 1) and -i == here and whole(c, 1)
      and whole(-f, 0) and -f <= c and whole(-n, 1) then
      return -e, c, -f, here, -n, 0
    end
  end
  redis.call('UNLINK', meta)
  redis.call('ZADD', meta, -fresh, '#e', -here, '#i', 1, '#c', 0, '#f', -shards, '#s')
  return fresh, 1, 0, here, shards, 1
end
