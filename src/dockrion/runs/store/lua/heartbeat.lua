-- KEYS[1] is of no use here. From 9 on: ids and tokens by turns.
local beats = {}
for i = 9, #ARGV, 2 do
  local run = PREFIX .. 'run:' .. ARGV[i]
  local known = redis.call('HMGET', run, 'tk', 'cr')
  if known[1] ~= ARGV[i + 1] then
    beats[#beats + 1] = 'LOST'
  else
    redis.call('HSET', run, 'le', text(NOW + LEASE))
    redis.call('ZADD', DUE, text(NOW + LEASE), ARGV[i])
    beats[#beats + 1] = known[2] and ('CANCEL ' .. known[2]) or 'OK'
  end
end
return beats
