-- KEYS: metadata, then entries. ARGV: 1 to count, then for each group of entries, in their order:
-- how many they are, the epoch and clock of the invalidation that they were named by, the floor
-- before it, 1 if it was of everything, the number n of tags looked for, n tags, n marks of them
-- before it.
-- Returns the number of entries removed that were live until then; 0 uncounted.
--
-- Invariant: an entry that is or can become valid is spared: one of the current epoch whose stamp
-- is at least its invalidation's clock, or which does not carry any of the tags. Everything that
-- is unlinked could never be returned again; the count is for people.
--
-- All others wait while this runs. So an entry is read once, its tags are not taken apart unless
-- they are counted or many are looked for, and entries are unlinked all at once.

local ENVELOPE = 120
-- What one read takes: the envelope and, of nearly all entries, the tags.
local GLANCE = 320
-- Tags that are looked for without taking an entry's apart.
local FEW = 4
-- Arguments of one command, far below what Lua can unpack.
local BATCH = 1000

local call, pcall = redis.call, redis.pcall
local sub, find, pack, unpacked = string.sub, string.find, struct.pack, struct.unpack
local m, counting = KEYS[1], ARGV[1] == '1'
-- The marks before the invalidation that is counted.
local marks = {}

local now_epoch = pcall('ZSCORE', m, '#e')
now_epoch = type(now_epoch) == 'string' and -tonumber(now_epoch) or nil

-- Reads the group at ARGV[at]. Returns it and where the next one is.
local function group_at(at)
  local n = tonumber(ARGV[at + 5])
  local group = {
    epoch = tonumber(ARGV[at + 1]),
    clock = tonumber(ARGV[at + 2]),
    floor = tonumber(ARGV[at + 3]),
    everything = ARGV[at + 4] == '1',
    wanted = {},
    needles = n <= FEW and {} or nil,
  }
  for i = 1, n do
    local tag = ARGV[at + 5 + i]
    group.wanted[tag] = true
    if group.needles then group.needles[i] = pack('>I2', #tag) .. tag end
    marks[tag] = tonumber(ARGV[at + 5 + n + i])
  end
  return group, at + 6 + 2 * n
end

local function tags_of(text, last)
  local tags, at = {}, ENVELOPE + 1
  while at + 1 <= last do
    local size = unpacked('>I2', text, at)
    tags[#tags + 1] = sub(text, at + 2, math.min(at + 1 + size, last))
    at = at + 2 + size
  end
  return tags
end

-- Whether a tag begins at `place`, not only bytes inside another one that look like it.
local function begins(text, place)
  local at = ENVELOPE + 1
  while at < place do at = at + 2 + unpacked('>I2', text, at) end
  return at == place
end

local function carries(text, last, needle)
  local place, to = find(text, needle, ENVELOPE + 1, true)
  while place and to <= last do
    if begins(text, place) then return true end
    place, to = find(text, needle, place + 1, true)
  end
  return false
end

local function selected(group, text, last)
  if group.everything then return true end
  if group.needles then
    for i = 1, #group.needles do
      if carries(text, last, group.needles[i]) then return true end
    end
    return false
  end
  for _, tag in ipairs(tags_of(text, last)) do
    if group.wanted[tag] then return true end
  end
  return false
end

local dead, suspects = {}, {}

local function look_at(key, group)
  local text = pcall('GETRANGE', key, 0, GLANCE - 1)
  if type(text) ~= 'string' then
    dead[#dead + 1] = key -- not a string: nothing of ours
  elseif #text >= ENVELOPE and sub(text, 1, 4) == 'RCE\1' then
    local epoch, stamp = unpacked('>I8I8', text, 9)
    if epoch ~= now_epoch then
      dead[#dead + 1] = key
    elseif epoch == group.epoch and stamp < group.clock then
      local last = ENVELOPE + math.min(unpacked('>I4', text, 97), 262144)
      if last > #text then
        text = call('GETRANGE', key, 0, last - 1)
        last = math.min(last, #text)
      end
      if selected(group, text, last) then
        dead[#dead + 1] = key
        if counting and stamp >= group.floor then
          suspects[#suspects + 1] = { tags_of(text, last), stamp, group.clock }
        end
      end
    end
  elseif #text > 0 and sub(text, 1, 3) ~= 'RCE' then
    dead[#dead + 1] = key -- no entry of any version
  end
end

local k, at = 2, 2
while at <= #ARGV do
  local members, group = tonumber(ARGV[at]), nil
  group, at = group_at(at)
  for _ = 1, members do
    look_at(KEYS[k], group)
    k = k + 1
  end
end

local asked, known = {}, {}
for _, suspect in ipairs(suspects) do
  for _, tag in ipairs(suspect[1]) do
    if not marks[tag] and not known[tag] then
      known[tag] = true
      asked[#asked + 1] = tag
    end
  end
end
for from = 1, #asked, BATCH do
  local scores = call('ZMSCORE', m, unpack(asked, from, math.min(from + BATCH - 1, #asked)))
  for i = 1, #scores do marks[asked[from + i - 1]] = tonumber(scores[i]) end
end

-- Whether no earlier invalidation had killed it already: then that one counts it.
local function was_live(tags, stamp, clock)
  for _, tag in ipairs(tags) do
    local mark = marks[tag]
    if mark and mark > stamp and mark < clock then return false end
  end
  return true
end

local removed = 0
for _, suspect in ipairs(suspects) do
  if was_live(unpack(suspect)) then removed = removed + 1 end
end
for from = 1, #dead, BATCH do
  call('UNLINK', unpack(dead, from, math.min(from + BATCH - 1, #dead)))
end
return removed
