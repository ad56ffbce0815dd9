-- KEYS[1] is the index here. 9: status or nothing; 10 and 11: time and id of the last one seen, or nothing; 12: how many.
local index, status, limit, offset, found = KEYS[1], ARGV[9], tonumber(ARGV[12]), 0, {}
local highest = ARGV[10] == '' and '+inf' or ARGV[10]
while #found < limit do
  local ids = redis.call('ZREVRANGEBYSCORE', index, highest, '-inf', 'WITHSCORES', 'LIMIT', offset, 100)
  if #ids == 0 then break end
  for i = 1, #ids, 2 do
    local id = ids[i]
    local seen = ARGV[10] ~= '' and tonumber(ids[i + 1]) == tonumber(ARGV[10]) and id >= ARGV[11]
    if not seen and #found < limit then
      local known = redis.call('HMGET', PREFIX .. 'run:' .. id, unpack(FIELDS))
      if known[1] and (status == '' or known[1] == status) then found[#found + 1] = known end
    end
  end
  offset = offset + 100
end
return found
