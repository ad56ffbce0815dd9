-- Count one call against a rate, as `Window` in `rates.py` does: refused calls do not count, and of large rates calls
-- that are close together are one entry, which counts until the last of them is too old.
--
-- KEYS: the window. ARGV: calls, seconds, time or '' for the server's, parts of a window.

local CALLS, SECONDS = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local NOW = tonumber(ARGV[3]) or tonumber(time[1]) + tonumber(time[2]) / 1000000
local PARTS = tonumber(ARGV[4])
local GRAIN = CALLS > PARTS and SECONDS / PARTS or 0

local stored = redis.call('GET', KEYS[1])
local opened, entries = 0, {}
if stored then
  opened, entries = cmsgpack.unpack(stored)
end

local kept, total = {}, 0
for _, entry in ipairs(entries) do
  -- A clock that was set back must not make calls count for longer than they would from now on.
  local when = math.min(entry[1], NOW)
  if NOW - when < SECONDS then
    kept[#kept + 1] = {when, entry[2]}
    total = total + entry[2]
  end
end

local allowed = total < CALLS
if allowed then
  total = total + 1
  if #kept > 0 and NOW - opened < GRAIN then
    kept[#kept][1] = NOW
    kept[#kept][2] = kept[#kept][2] + 1
  else
    opened = NOW
    kept[#kept + 1] = {NOW, 1}
  end
  redis.call('SET', KEYS[1], cmsgpack.pack(opened, kept), 'PX', math.ceil(SECONDS * 1000))
end
local reset = kept[1][1] + SECONDS - NOW
return {allowed and 1 or 0, CALLS - total, math.max(1, math.ceil(reset))}
