-- What all scripts begin with. KEYS: run hash, events stream, due, all runs, runs of the owner, ends. ARGV[1]: the
-- names that depend on what is found; ARGV[2]: the run's id; the rules follow: lease, ttl, live (microseconds),
-- max_attempts, max_events, max_bytes. ARGV from 9 on are the script's own.
local RUN, EVENTS, DUE, ALL, OWN, ENDS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local PREFIX, ID = ARGV[1], ARGV[2]
local LEASE, TTL, LIVE = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local MAX_ATTEMPTS, MAX_EVENTS, MAX_BYTES = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local ENTRY_BYTES = 160
local FIELDS = {
  'st', 'ow', 'fp', 'ca', 'sa', 'fa', 'th', 'rq', 'di', 'tk', 'at', 'fi', 'en', 'rs', 'qs', 'an', 'cr', 'ru', 'id'
}
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

-- Lua writes large numbers with fourteen digits only.
local function text(number) return string.format('%.0f', number) end
local function get(field) return redis.call('HGET', RUN, field) end
local function set(...) redis.call('HSET', RUN, ...) end
local function record() return redis.call('HMGET', RUN, unpack(FIELDS)) end
local function changed() redis.call('PUBLISH', PREFIX .. 'run:' .. ID, '') end
local function ordered() redis.call('PUBLISH', PREFIX .. 'orders', ID) end
local function due(at) redis.call('ZADD', DUE, text(at), ID) end
local function is_final(status) return status == 'COMPLETED' or status == 'FAILED' or status == 'CANCELLED' end

local function live_on()
  redis.call('PEXPIRE', RUN, text(LIVE / 1000))
  redis.call('PEXPIRE', EVENTS, text(LIVE / 1000))
end

-- Keep entries: ARGV[from] of them, three arguments each. False when some are missing before them.
local function keep(from)
  local count = tonumber(ARGV[from])
  local known = redis.call('HMGET', RUN, 'en', 'by', 'oe', 'fi')
  local stored_to, bytes = tonumber(known[1]), tonumber(known[2])
  local oldest_to, first = tonumber(known[3]), tonumber(known[4])
  local end_, begun = stored_to, false
  for i = 0, count - 1 do
    local at = from + 1 + 3 * i
    local entry_first, entry_end = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    if entry_first >= end_ then
      if entry_first ~= end_ then return false end
      redis.call('XADD', EVENTS, '0-' .. ARGV[at + 1], 'f', ARGV[at], 'b', ARGV[at + 2])
      bytes = bytes + #ARGV[at + 2] + ENTRY_BYTES
      if oldest_to == 0 then oldest_to, begun = entry_end, true end
      end_ = entry_end
    end
  end
  if end_ == stored_to then return true end
  while oldest_to < end_ and (oldest_to <= end_ - MAX_EVENTS or bytes > MAX_BYTES) do
    local two = redis.call('XRANGE', EVENTS, '-', '+', 'COUNT', 2)
    bytes = bytes - #two[1][2][4] - ENTRY_BYTES
    redis.call('XDEL', EVENTS, two[1][1])
    first = tonumber(two[2][2][2])
    oldest_to = tonumber(string.sub(two[2][1], 3))
  end
  if end_ - MAX_EVENTS > first then first = end_ - MAX_EVENTS end
  set('en', text(end_), 'by', text(bytes), 'oe', text(oldest_to), 'fi', text(first))
  if begun then redis.call('PEXPIRE', EVENTS, text(LIVE / 1000)) end
  return true
end

local function finish(status, result)
  local token = get('tk')
  if token then set('lt', token) end
  set('st', status, 'rs', result, 'fa', text(NOW))
  redis.call('HDEL', RUN, 'tk', 'le', 'pl', 'qs', 'an')
  redis.call('ZREM', DUE, ID)
  redis.call('ZADD', ENDS, text(NOW + TTL), ID .. ' ' .. OWN)
  redis.call('PEXPIRE', RUN, text(TTL / 1000))
  redis.call('PEXPIRE', EVENTS, text(TTL / 1000))
  local key = get('ik')
  if key then redis.call('PEXPIRE', key, text(TTL / 1000)) end
  changed()
end

-- Give the run to whoever has the token.
local function give(token, status)
  local attempt = tonumber(get('at')) + 1
  set('tk', token, 'le', text(NOW + LEASE), 'at', text(attempt), 'st', status)
  if not get('sa') then set('sa', text(NOW)) end
  due(NOW + LEASE)
  live_on()
  changed()
end

local function is_held_by(token) return get('tk') == token end
-- A call that is made once more, since its answer was lost.
local function has_left_in(token, status) return get('lt') == token and get('st') == status end
local function lease_has_passed() return tonumber(get('le') or '0') <= NOW end
