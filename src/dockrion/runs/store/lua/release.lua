-- 9: token; 10: whether the attempt had begun.
if has_left_in(ARGV[9], 'ACCEPTED') then return 'OK' end
if not is_held_by(ARGV[9]) then return 'LOST' end
if ARGV[10] ~= '1' then set('at', text(tonumber(get('at')) - 1)) end
set('st', 'ACCEPTED', 'lt', ARGV[9])
redis.call('HDEL', RUN, 'tk', 'le')
due(NOW + LEASE)
changed()
return 'OK'
