-- 9: answers, a line each; 10: questions that stay open, or nothing.
if get('st') ~= 'INTERRUPTED' then return false end
set('an', (get('an') or '') .. ARGV[9])
if not get('tk') then
  set('st', 'ACCEPTED', 'at', '0')
  redis.call('HDEL', RUN, 'qs')
  due(NOW + LEASE)
elseif ARGV[10] == '' then
  set('st', 'RUNNING')
  redis.call('HDEL', RUN, 'qs')
  ordered()
else
  set('qs', ARGV[10])
  ordered()
end
live_on()
changed()
return record()
