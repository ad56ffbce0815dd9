-- 9: how many. Takes runs that have expired out of the indexes.
local ended = redis.call('ZRANGEBYSCORE', ENDS, '-inf', text(NOW), 'LIMIT', 0, tonumber(ARGV[9]))
for _, member in ipairs(ended) do
  local id, own = string.match(member, '^(%S+) (.*)$')
  -- The id may have been used anew.
  if redis.call('EXISTS', PREFIX .. 'run:' .. id) == 0 then
    redis.call('ZREM', ALL, id)
    redis.call('ZREM', own, id)
  end
  redis.call('ZREM', ENDS, member)
end
return #ended
