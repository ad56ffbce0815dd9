-- 9: the first sequence that is wanted; 10: bytes that are enough.
local known = redis.call('HMGET', RUN, 'fi', 'en', 'st')
if not known[3] then return false end
local start, enough, found = tonumber(ARGV[9]), tonumber(ARGV[10]), {}
if start < tonumber(known[1]) then start = tonumber(known[1]) end
while start < tonumber(known[2]) and enough > 0 do
  local some = redis.call('XRANGE', EVENTS, '0-' .. text(start + 1), '+', 'COUNT', 8)
  if #some == 0 then break end
  for _, one in ipairs(some) do
    if enough > 0 then
      start = tonumber(string.sub(one[1], 3))
      enough = enough - #one[2][4]
      found[#found + 1] = one[2][2]
      found[#found + 1] = text(start)
      found[#found + 1] = one[2][4]
    end
  end
end
return {known[1], known[2], known[3], found}
