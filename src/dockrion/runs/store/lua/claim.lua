-- 9: token.
local status = get('st')
if get('tk') == ARGV[9] then return {record(), get('pl')} end
local lost = status == 'RUNNING' and lease_has_passed() and get('di') ~= '1'
  and tonumber(get('at')) < MAX_ATTEMPTS
if status ~= 'ACCEPTED' and not lost then return false end
give(ARGV[9], 'RUNNING')
return {record(), get('pl')}
