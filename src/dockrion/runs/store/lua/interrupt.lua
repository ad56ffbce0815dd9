-- 9: token; 10: whether the worker keeps the run; 11: questions; 12: how long it may wait; 13: entries.
if has_left_in(ARGV[9], 'INTERRUPTED') then return 'OK' end
if not is_held_by(ARGV[9]) then return 'LOST' end
local reason = get('cr')
if reason then return 'CANCEL ' .. reason end
if not keep(13) then return 'HOLE ' .. get('en') end
set('st', 'INTERRUPTED', 'qs', ARGV[11])
if ARGV[10] ~= '1' then
  set('lt', ARGV[9])
  redis.call('HDEL', RUN, 'tk', 'le', 'an')
  due(NOW + tonumber(ARGV[12]))
end
live_on()
changed()
return 'OK'
