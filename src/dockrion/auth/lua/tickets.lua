-- Issue, redeem and find tickets, of which there are hashes alone.
--
-- ARGV: what to do, prefix, time or '' for the server's, hash, path; to issue also: seconds, most of one, most of
-- all, whether old ones make room, owner's hash, identity.
--   <prefix><hash>       hash: one ticket
--   <prefix>all, <prefix>of:<owner>   zsets in the order of issue; members say whose, until when, and which
--   <prefix>count        of all that were ever issued

local call = redis.call
local PREFIX, HASH, PATH = ARGV[2], ARGV[4], ARGV[5]
local TICKET, ALL = PREFIX .. HASH, PREFIX .. 'all'

local time = call('TIME')
local NOW = tonumber(ARGV[3]) or tonumber(time[1]) + tonumber(time[2]) / 1000000

local function forget(member)
  local owner, _, hash = string.match(member, '^(%S+) (%S+) (%S+)$')
  call('ZREM', ALL, member)
  call('ZREM', PREFIX .. 'of:' .. owner, member)
  call('DEL', PREFIX .. hash)
end

local function find()
  local found = call('HMGET', TICKET, 'path', 'ends_at', 'identity')
  if found[1] == PATH and NOW < tonumber(found[2]) then
    return found[3]
  end
  return false
end

local ops = {find = find}

function ops.redeem()
  local found, member = find(), call('HGET', TICKET, 'member')
  if member then
    forget(member)
  end
  return found
end

function ops.issue()
  local seconds, owner = tonumber(ARGV[6]), ARGV[10]
  local OWN = PREFIX .. 'of:' .. owner
  while true do
    local oldest = call('ZRANGE', ALL, 0, 0)[1]
    if not oldest or tonumber(string.match(oldest, '^%S+ (%S+)')) > NOW then
      break
    end
    forget(oldest)
  end
  local of_one, of_all = call('ZCARD', OWN), call('ZCARD', ALL)
  local too_many = of_one >= tonumber(ARGV[7]) and OWN or of_all >= tonumber(ARGV[8]) and ALL
  if too_many then
    if ARGV[9] ~= '1' then
      return {too_many == OWN and 'one' or 'all', of_one}
    end
    forget(call('ZRANGE', too_many, 0, 0)[1])
  end
  local ends_at = string.format('%.6f', NOW + seconds)
  local member = owner .. ' ' .. ends_at .. ' ' .. HASH
  local number = call('INCR', PREFIX .. 'count')
  call('HSET', TICKET, 'path', PATH, 'ends_at', ends_at, 'identity', ARGV[11], 'member', member)
  call('PEXPIRE', TICKET, math.ceil(seconds * 1000))
  for _, index in ipairs({ALL, OWN}) do
    call('ZADD', index, number, member)
    call('EXPIRE', index, math.ceil(seconds) + 60)
  end
  call('EXPIRE', PREFIX .. 'count', math.ceil(seconds) + 120)
  return {'ok'}
end

return ops[ARGV[1]]()
