-- Claims event_ids for their owners, and reads (and where needed raises) the marker that says since when all are known.
--
-- KEYS[1]  the marker; the ids of a site and a slot of time stand in a hash each: KEYS[1]:<site tag><slot>
-- ARGV     1 what is claimed, packed by claims.py
--          2 '1': ids were accepted that Redis was never told
--          3 the era this process saw last, '' at first
--          4 '1': a marker that is absent starts at 0
--          5 '1': look at the server itself as well (0.04 ms); '2': and note that nothing follows
--          6 milliseconds of a slot   7 slots that are looked into   8 milliseconds clocks may lie apart
-- returns  since, era, now (ms), '1' if Redis may drop keys, then the positions that another owner holds
local marker, packed = KEYS[1], ARGV[1]
local slot_ms, slots, skew = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local kept = redis.call('HMGET', marker, 'since', 'era', 'run', 'evicts', 'closed')
local since, era, run, evicts = tonumber(kept[1] or nil), kept[2], kept[3], kept[4]

-- Another era that starts at 0: Redis lost what this process had told it, and a process that knew nothing began anew.
local raise = ARGV[2] == '1' or (since == 0 and ARGV[3] ~= '' and ARGV[3] ~= era)
local absent, anew = not since, not since
if absent or ARGV[5] ~= '0' then
  local running = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or 'unknown'
  local memory = redis.call('INFO', 'memory')
  local limit = string.match(memory, 'maxmemory:(%d+)')
  local policy = string.match(memory, 'maxmemory_policy:([%w-]+)')
  evicts = limit and limit ~= '0' and policy ~= 'noeviction' and '1' or '0'
  if run and run ~= running then
    -- A restart. A snapshot is minutes old; an append-only file lacks up to the last two seconds where Redis was killed
    -- (a write waits for the fsync before it, its answer does not), and nothing where the last thing in it is that
    -- nothing follows. A replica that took over (it keeps the id of the one before) may lack anything.
    local logged = string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true)
    local heir = not string.find(redis.call('INFO', 'replication'), 'master_replid2:' .. string.rep('0', 40), 1, true)
    local forgot = ARGV[3] ~= '' and ARGV[3] ~= era
    raise = raise or heir or forgot or not logged or not kept[5]
    anew = true
  end
  if run ~= running or evicts ~= kept[4] then
    redis.call('HSET', marker, 'run', running, 'evicts', evicts)
  end
end
if absent and ARGV[4] == '1' and not raise then
  since = 0
elseif absent or raise then
  since = math.max(since or 0, now + skew)
end
if anew or raise then
  era = string.format('%d.%06d', time[1], time[2])
  redis.call('HSET', marker, 'since', string.format('%.0f', since), 'era', era)
end

if ARGV[5] == '2' then
  redis.call('HSET', marker, 'closed', 1)
elseif kept[5] then
  redis.call('HDEL', marker, 'closed')
end

local reply = {string.format('%.0f', since), era, string.format('%.0f', now), evicts}
local slot = math.floor(now / slot_ms)
local MOST = 1000 -- fields a command: unpack takes up to 8,000 values

-- One HMGET a slot for up to MOST ids, whoever owns them; then one HSET.
local function claim(prefix, ids, owners, first)
  local held = {}
  for back = 0, slots - 1 do
    local key = prefix .. (slot - back)
    local values = redis.call('HMGET', key, unpack(ids))
    for i = 1, #ids do held[i] = held[i] or values[i] end
  end
  local mine, fresh = {}, {}
  for i, id in ipairs(ids) do
    local owner = held[i] or mine[id]
    if not owner then
      mine[id] = owners[i]
      fresh[#fresh + 1] = id
      fresh[#fresh + 1] = owners[i]
    elseif owner ~= owners[i] then
      reply[#reply + 1] = first + i - 1
    end
  end
  if #fresh == 0 then return end
  local key = prefix .. slot
  if redis.call('EXISTS', key) == 0 then
    -- A value over 64 bytes makes it a hash table at once: a short hash is searched from end to end, which took
    -- 5-7 us an id with 500 ids in it, in each slot.
    redis.call('HSET', key, '', string.rep('.', 65))
    redis.call('PEXPIREAT', key, string.format('%.0f', (slot + slots + 1) * slot_ms))
    -- Expiry frees on the main thread of a Redis with its defaults (a million ids: about 0.3 s), UNLINK beside it.
    redis.call('UNLINK', prefix .. (slot - slots))
  end
  redis.call('HSET', key, unpack(fresh))
end

-- packed: sites, each 16 bytes of tag, u32 of runs, then runs: u8 and owner, u32 of ids, ids of 16 bytes.
local at, position = 1, 0
while at <= #packed do
  local prefix = marker .. ':' .. string.sub(packed, at, at + 15) .. ':'
  local runs
  runs, at = struct.unpack('<I4', packed, at + 16)
  local ids, owners, first = {}, {}, position
  for _ = 1, runs do
    local owner, count
    owner, count, at = struct.unpack('<Bc0I4', packed, at)
    for _ = 1, count do
      ids[#ids + 1] = string.sub(packed, at, at + 15)
      owners[#owners + 1] = owner
      at = at + 16
      position = position + 1
      if #ids == MOST then
        claim(prefix, ids, owners, first)
        ids, owners, first = {}, {}, position
      end
    end
  end
  if #ids > 0 then claim(prefix, ids, owners, first) end
end
return reply
