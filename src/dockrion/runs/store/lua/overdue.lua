-- 9: how many.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', text(NOW), 'LIMIT', 0, tonumber(ARGV[9]))) do
  local known = redis.call('HMGET', PREFIX .. 'run:' .. id, unpack(FIELDS))
  if not known[1] or is_final(known[1]) then
    redis.call('ZREM', DUE, id)
  else
    redis.call('ZADD', DUE, text(NOW + LEASE / 3), id)
    found[#found + 1] = known
  end
end
return found
