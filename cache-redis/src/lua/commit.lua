-- KEYS: metadata, the draft, the entry, then indexes.
-- ARGV: the stamp's epoch and clock, the incarnation that the connection has proved, the entry's
-- life in ms (0: already over), its name inside the indexes, then all its tags.
-- Returns STORED, SUPERSEDED, FOREIGN (metadata of another incarnation) or ABSENT (no draft).
--
-- Invariant: an entry takes its place only if it is valid at this very instant, so what an
-- invalidation has outrun never overwrites what was filled after it. The body is not looked at: it
-- was written as the draft by a plain SET in the same pipeline and is only renamed.

local SUPERSEDED, STORED, FOREIGN, ABSENT = 0, 1, 2, 3
local m, draft, entry = KEYS[1], KEYS[2], KEYS[3]
local stamp = tonumber(ARGV[2])

local asked = { '#e', '#i', '#c', '#f' }
for i = 6, #ARGV do asked[#asked + 1] = ARGV[i] end
local s = redis.pcall('ZMSCORE', m, unpack(asked))

local function verdict()
  if s.err then return SUPERSEDED end
  local e, i, c, f = tonumber(s[1]), tonumber(s[2]), tonumber(s[3]), tonumber(s[4])
  if not (e and i and c and f) then return SUPERSEDED end
  if -i ~= tonumber(ARGV[3]) then return FOREIGN end
  if -e ~= tonumber(ARGV[1]) or stamp < -f or stamp > c then return SUPERSEDED end
  for k = 5, #s do
    local mark = tonumber(s[k])
    if mark and mark > stamp then return SUPERSEDED end
  end
  return STORED
end

local outcome = verdict()
if outcome ~= STORED then
  redis.call('UNLINK', draft)
  return outcome
end
if ARGV[4] == '0' then
  redis.call('UNLINK', entry)
  return STORED
end
if redis.pcall('RENAME', draft, entry).err then return ABSENT end
redis.call('PEXPIRE', entry, ARGV[4])
local life = tonumber(ARGV[4])
for k = 4, #KEYS do
  -- A planted type only spoils reclaiming.
  if type(redis.pcall('SADD', KEYS[k], ARGV[5])) == 'number'
    -- Never shorter than its longest entry; a quarter longer, so that not every put prolongs it.
    and redis.call('PTTL', KEYS[k]) < life then
    redis.call('PEXPIRE', KEYS[k], string.format('%.0f', life * 1.25))
  end
end
return STORED
