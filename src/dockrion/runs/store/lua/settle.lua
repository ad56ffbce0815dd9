-- 9 to 11: status, attempt and end as they must be; 12: new status; 13: result; 14: entries.
local status = get('st')
if status ~= ARGV[9] or get('at') ~= ARGV[10] or get('en') ~= ARGV[11] or is_final(status) then return 0 end
if get('tk') and not lease_has_passed() then return 0 end
if not keep(14) then return 0 end
-- Whoever had it is not told that it has ended the run itself.
redis.call('HDEL', RUN, 'tk')
finish(ARGV[12], ARGV[13])
return 1
