-- KEYS: metadata, then pairs of an index and the name to set it aside under.
-- ARGV: a fresh epoch, the shard count, the cap on marks, 1 to invalidate everything, how many
-- members may be returned in all, tags…
-- Returns {epoch, clock, floor before, incarnation, 1 if the epoch is new,
--          {per index: its members, and it is gone; or their number if it was set aside},
--          {mark before per tag, 0 if none}}.
--
-- Invariant: the clock advances and the marks (or the floor) are set to it in one step, so that an
-- entry whose stamp was read before this step is invalid after it, and one whose stamp is read
-- after it is not. Marks are dropped only after the floor has been raised to the largest of them.

local m = KEYS[1]
local epoch, clock, floor, here, shards, minted =
  current(m, tonumber(ARGV[1]), tonumber(ARGV[2]))
if shards ~= tonumber(ARGV[2]) then
  return redis.error_reply('SHARDS this prefix is used with ' .. shards .. ' shards')
end
local cap = tonumber(ARGV[3])
local c = clock + 1

local tags, before = {}, {}
for i = 6, #ARGV do tags[#tags + 1] = ARGV[i] end
if #tags > 0 then
  for i, mark in ipairs(redis.call('ZMSCORE', m, unpack(tags))) do
    before[i] = tonumber(mark) or 0
  end
end

local scores = { c, '#c' }
for _, tag in ipairs(tags) do
  scores[#scores + 1] = c
  scores[#scores + 1] = tag
end
local new_floor = floor
if ARGV[4] == '1' then
  new_floor = c
  scores[#scores + 1] = -c
  scores[#scores + 1] = '#f'
end
redis.call('ZADD', m, unpack(scores))

-- A few members are given at once; more of them would make this step depend on their number.
local room = tonumber(ARGV[5])
local aside = {}
for k = 2, #KEYS, 2 do
  local index, size = KEYS[k], redis.pcall('SCARD', KEYS[k])
  if type(size) ~= 'number' then
    if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
    redis.call('UNLINK', index) -- not a set: nothing of ours
    size = 0
  elseif size > room then
    redis.call('RENAME', index, KEYS[k + 1])
  elseif size > 0 then
    room = room - size
    size = redis.call('SMEMBERS', index)
    redis.call('UNLINK', index)
  end
  aside[#aside + 1] = size
end

local marks = redis.call('ZCOUNT', m, '(0', '+inf') - 1
if marks > cap then
  -- A little more than needed, so that this is not done on every call.
  local drop = math.min(marks, marks - cap + math.min(math.floor(cap / 16), 1024))
  local at = redis.call('ZRANGE', m, '(0', '+inf', 'BYSCORE', 'LIMIT', drop - 1, 1, 'WITHSCORES')
  local edge = tonumber(at[2])
  if edge > new_floor then redis.call('ZADD', m, -edge, '#f') end
  redis.call('ZREMRANGEBYSCORE', m, '(0', edge)
  redis.call('ZADD', m, c, '#c')
end

return { epoch, c, floor, here, minted, aside, before }
