-- 9: mode; 10: token; 11: key of the idempotency key, or nothing; 12: number of fields, twice so many; then entries.
local mode, token, key = ARGV[9], ARGV[10], ARGV[11]
if key ~= '' then
  local other = redis.call('GET', key)
  if other and redis.call('EXISTS', PREFIX .. 'run:' .. other) == 1 then
    return {0, redis.call('HMGET', PREFIX .. 'run:' .. other, unpack(FIELDS))}
  end
end
if redis.call('EXISTS', RUN) == 1 then
  -- Made by this very call, whose answer was lost.
  if token ~= '' and get('tk') == token then return {1, record()} end
  return {0, record()}
end
redis.call('DEL', EVENTS)
local count = tonumber(ARGV[12])
for i = 0, count - 1 do set(ARGV[13 + 2 * i], ARGV[14 + 2 * i]) end
set('ca', text(NOW), 'at', '0', 'by', '0', 'oe', '0', 'st', 'ACCEPTED')
if key ~= '' then
  set('ik', key)
  redis.call('SET', key, ID, 'PX', text(LIVE / 1000))
end
redis.call('ZADD', ALL, text(NOW), ID)
redis.call('ZADD', OWN, text(NOW), ID)
if mode == 'interrupted' or mode == 'interrupted-claimed' then
  keep(13 + 2 * count)
  set('st', 'INTERRUPTED', 'sa', text(NOW))
end
if mode == 'direct' then
  give(token, 'RUNNING')
elseif mode == 'interrupted-claimed' then
  give(token, 'INTERRUPTED')
elseif mode == 'interrupted' then
  due(NOW + tonumber(ARGV[#ARGV]))
  live_on()
else
  due(NOW + LEASE)
  live_on()
end
changed()
return {1, record()}
