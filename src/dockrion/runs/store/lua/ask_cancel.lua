-- 9: reason.
local status = get('st')
if not status then return false end
if get('tk') and not get('cr') and not is_final(status) then
  set('cr', ARGV[9])
  ordered()
end
return record()
