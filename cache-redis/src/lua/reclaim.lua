-- KEYS: metadata, then entries. ARGV: the invalidation's epoch, clock and floor before it, 1 if it
-- was of everything, the number n of its tags, n tags, n marks before it.
-- Returns the number of entries removed that were live until this invalidation.
--
-- Invariant: an entry that is or can become valid is spared: one of the current epoch whose stamp
-- is at least the invalidation's clock, or which does not carry any of its tags. Everything that
-- is unlinked could never be returned again; the count is for people.

local m = KEYS[1]
local epoch, clock, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local everything = ARGV[4] == '1'
local n = tonumber(ARGV[5])
local before = {}
for i = 1, n do before[ARGV[5 + i]] = tonumber(ARGV[5 + n + i]) end

local now_epoch = redis.pcall('ZSCORE', m, '#e')
now_epoch = type(now_epoch) == 'string' and -tonumber(now_epoch) or nil

local function tags_of(key, length)
  local text = redis.call('GETRANGE', key, 120, 119 + length)
  local tags, at = {}, 1
  while at + 1 <= #text do
    local size = struct.unpack('>I2', text, at)
    tags[#tags + 1] = string.sub(text, at + 2, at + 1 + size)
    at = at + 2 + size
  end
  return tags
end

local function selected(tags)
  if everything then return true end
  for _, tag in ipairs(tags) do
    if before[tag] then return true end
  end
  return false
end

-- Whether no earlier invalidation had killed it already: then that one counts it.
local function was_live(tags, stamp)
  if stamp < floor then return false end
  local marks = #tags > 0 and redis.call('ZMSCORE', m, unpack(tags)) or {}
  for i, tag in ipairs(tags) do
    local mark = before[tag] or tonumber(marks[i])
    if mark and mark > stamp and mark < clock then return false end
  end
  return true
end

local removed = 0
for k = 2, #KEYS do
  local key = KEYS[k]
  local head = redis.pcall('GETRANGE', key, 0, 119)
  if type(head) ~= 'string' then
    redis.call('UNLINK', key) -- not a string: nothing of ours
  elseif string.sub(head, 1, 4) == 'RCE\1' and #head == 120 then
    local stamp_epoch = struct.unpack('>I8', head, 9)
    local stamp = struct.unpack('>I8', head, 17)
    if stamp_epoch ~= now_epoch then
      redis.call('UNLINK', key)
    elseif stamp_epoch == epoch and stamp < clock then
      local tags = tags_of(key, math.min(struct.unpack('>I4', head, 97), 262144))
      if selected(tags) then
        if was_live(tags, stamp) then removed = removed + 1 end
        redis.call('UNLINK', key)
      end
    end
  elseif #head > 0 and string.sub(head, 1, 3) ~= 'RCE' then
    redis.call('UNLINK', key) -- no entry of any version
  end
end
return removed
