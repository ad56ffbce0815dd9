-- 9: for how long.
if not get('st') then return 0 end
local until_ = NOW + tonumber(ARGV[9])
if until_ > tonumber(get('ru') or '0') then set('ru', text(until_)) end
return 1
