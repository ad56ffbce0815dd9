-- 9: token; 10: entries.
if not is_held_by(ARGV[9]) then return 'LOST' end
if not keep(10) then return 'HOLE ' .. get('en') end
changed()
return 'OK'
