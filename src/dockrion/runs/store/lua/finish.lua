-- 9: token; 10: status; 11: result; 12: entries.
if has_left_in(ARGV[9], ARGV[10]) then return 'OK' end
if not is_held_by(ARGV[9]) then return 'LOST' end
local reason = get('cr')
if reason and ARGV[10] ~= 'CANCELLED' then return 'CANCEL ' .. reason end
if not keep(12) then return 'HOLE ' .. get('en') end
finish(ARGV[10], ARGV[11])
return 'OK'
