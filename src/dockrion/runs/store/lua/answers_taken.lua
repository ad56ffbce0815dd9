-- 9: token; then ids.
if not is_held_by(ARGV[9]) then return 'LOST' end
local taken = {}
for i = 10, #ARGV do taken[ARGV[i]] = true end
local left = ''
for line in string.gmatch(get('an') or '', '[^\n]+\n') do
  if not taken[string.match(line, '^([^\t]*)\t')] then left = left .. line end
end
if left == '' then redis.call('HDEL', RUN, 'an') else set('an', left) end
return 'OK'
