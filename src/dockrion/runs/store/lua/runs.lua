-- What is done to runs, each in one atomic step. `ARGV[1]` says what.
--
-- Keys are made here, out of the prefix and ids that are found in other keys: clusters are not supported.
--   run:<id>      hash: the record; `token` is that of the last claim, `lease` is there while somebody has the run
--   events:<id>   stream: an entry for each batch, with the id 0-<end>, `f` its first sequence, `b` its frames
--   answers:<id>  hash: those that have not been taken
--   key:<hash>    an idempotency key's run
--   thread:<hash> the newest run of an owner's thread
--   runs, owner:<hash>   zsets of ids by microseconds of creation
--   due           zset: when somebody must look after a run
--   waiting:<status>     sets of ids: ACCEPTED and INTERRUPTED ones
--   ended         zset: when a run's places in the zsets go

local PREFIX = ARGV[2]
local LEASE, TTL = tonumber(ARGV[3]), tonumber(ARGV[4])
local MAX_EVENTS, MAX_BYTES, MAX_ATTEMPTS = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local ID = ARGV[8]

-- What lives is let go of when nobody has touched it for so long, so that nothing stays for ever.
local LIVE_SECONDS = 8 * 86400
local MAX_WAIT_SECONDS = 7 * 86400
-- What an entry weighs beside its bytes.
local ENTRY_BYTES = 160

local call = redis.call
local RUN, EVENTS = PREFIX .. 'run:' .. ID, PREFIX .. 'events:' .. ID
local ANSWERS = PREFIX .. 'answers:' .. ID
local DUE, RUNS, ENDED = PREFIX .. 'due', PREFIX .. 'runs', PREFIX .. 'ended'
local FINAL = {COMPLETED = true, FAILED = true, CANCELLED = true}

local time = call('TIME')
local NOW_US = tonumber(time[1]) * 1000000 + tonumber(time[2])
local NOW = NOW_US / 1000000

local function text(seconds)
  return string.format('%.6f', seconds)
end

local function record_of(id)
  local found = call('HMGET', PREFIX .. 'run:' .. id, 'status', 'owner', 'fingerprint', 'created_us',
    'started_at', 'finished_at', 'thread_id', 'request_id', 'direct', 'lease', 'attempt', 'first', 'end',
    'result', 'questions', 'cancel_reason', 'read_until', 'trace')
  found[19] = call('HGETALL', PREFIX .. 'answers:' .. id)
  found[20] = id
  return found
end

local function changed()
  call('PUBLISH', PREFIX .. 'changed:' .. ID, '')
end

local function ordered()
  call('PUBLISH', PREFIX .. 'orders', ID)
  changed()
end

local function stands(status, id)
  for _, waiting in ipairs({'ACCEPTED', 'INTERRUPTED'}) do
    call(waiting == status and 'SADD' or 'SREM', PREFIX .. 'waiting:' .. waiting, id or ID)
  end
end

local function set_status(status)
  stands(status)
  call('HSET', RUN, 'status', status)
end

local function due_at(seconds)
  call('ZADD', DUE, text(seconds), ID)
end

local function keep_alive()
  call('EXPIRE', RUN, LIVE_SECONDS)
  call('EXPIRE', EVENTS, LIVE_SECONDS)
  call('EXPIRE', ANSWERS, LIVE_SECONDS)
end

local function load()
  local found = call('HMGET', RUN, 'status', 'token', 'lease', 'attempt', 'end', 'cancel_reason', 'direct')
  if not found[1] then
    return nil
  end
  return {
    status = found[1], token = found[2], held = found[3], lease = tonumber(found[3] or 0),
    attempt = tonumber(found[4]), past = tonumber(found[5]), cancel_reason = found[6],
    direct = found[7] == '1', final = FINAL[found[1]],
  }
end

-- Return the run as long as nobody else has claimed or ended it, whether or not the claim has ended itself.
local function of(token)
  local run = load()
  if run and run.token == token then
    return run
  end
  return nil
end

local function trim(oldest, oldest_end, past, weight)
  while oldest_end < past and (oldest_end <= past - MAX_EVENTS or weight > MAX_BYTES) do
    local two = call('XRANGE', EVENTS, '-', '+', 'COUNT', 2)
    weight = weight - #two[1][2][4] - ENTRY_BYTES
    call('XDEL', EVENTS, two[1][1])
    oldest = tonumber(two[2][2][2])
    oldest_end = tonumber(string.sub(two[2][1], 3))
  end
  return oldest, oldest_end, weight
end

-- Keep the entries in `ARGV` from a place on: how many, then first, end and body of each. Where events are missing,
-- nothing is done, and the first that is missing and the one after the last are returned.
local function append(run, at)
  local count = tonumber(ARGV[at])
  local past = run.past
  for place = at + 1, at + 3 * count, 3 do
    local first = tonumber(ARGV[place])
    if first >= past then
      if first ~= past then
        return {'hole', past, first}
      end
      past = tonumber(ARGV[place + 1])
    end
  end
  if past == run.past then
    return nil
  end
  local kept = call('HMGET', RUN, 'first', 'oldest', 'oldest_end', 'weight')
  local first, oldest = tonumber(kept[1]), tonumber(kept[2] or -1)
  local oldest_end, weight = tonumber(kept[3] or -1), tonumber(kept[4] or 0)
  for place = at + 1, at + 3 * count, 3 do
    local start, stop, body = tonumber(ARGV[place]), tonumber(ARGV[place + 1]), ARGV[place + 2]
    if start >= run.past then
      call('XADD', EVENTS, '0-' .. ARGV[place + 1], 'f', ARGV[place], 'b', body)
      if oldest < 0 then
        oldest, oldest_end = start, stop
        call('EXPIRE', EVENTS, LIVE_SECONDS)
      end
      weight = weight + #body + ENTRY_BYTES
    end
  end
  oldest, oldest_end, weight = trim(oldest, oldest_end, past, weight)
  first = math.max(first, oldest, past - MAX_EVENTS)
  call('HSET', RUN, 'first', first, 'end', past, 'oldest', oldest, 'oldest_end', oldest_end, 'weight', weight)
  run.past = past
  return nil
end

local function give(run, token, status)
  local lease = NOW + LEASE
  set_status(status)
  call('HSET', RUN, 'token', token, 'lease', text(lease), 'attempt', run.attempt + 1)
  call('HSETNX', RUN, 'started_at', text(NOW))
  due_at(lease)
  keep_alive()
  changed()
end

local function accept(attempt)
  set_status('ACCEPTED')
  call('HSET', RUN, 'attempt', attempt)
  call('HDEL', RUN, 'lease', 'questions')
  due_at(NOW + LEASE)
  keep_alive()
end

local function finish(status, result)
  local ttl_ms = math.ceil(TTL * 1000)
  local known = call('HMGET', RUN, 'owner_hash', 'key', 'thread')
  set_status(status)
  call('HSET', RUN, 'result', result, 'finished_at', text(NOW))
  call('HDEL', RUN, 'lease', 'questions', 'payload')
  call('DEL', ANSWERS)
  call('PEXPIRE', RUN, ttl_ms)
  call('PEXPIRE', EVENTS, ttl_ms)
  for place, kind in pairs({[2] = 'key:', [3] = 'thread:'}) do
    local pointer = known[place] and PREFIX .. kind .. known[place]
    if pointer and call('GET', pointer) == ID then
      call('PEXPIRE', pointer, ttl_ms)
    end
  end
  call('ZREM', DUE, ID)
  call('ZADD', ENDED, text(NOW + TTL), known[1] .. ':' .. ID)
  changed()
end

local ops = {}

-- ARGV: 9 token or '', 10 owner's hash, 11 key's hash or '', 12 status, 13 first, 14 how many fields, then those,
-- then entries. A run that is there already and has the token is the one that this very call made before.
function ops.create()
  local token, owner_hash, key, status = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
  local by_key = key ~= '' and call('GET', PREFIX .. 'key:' .. key)
  if by_key and call('EXISTS', PREFIX .. 'run:' .. by_key) == 1 then
    ID = by_key
    RUN = PREFIX .. 'run:' .. ID
  end
  if call('EXISTS', RUN) == 1 then
    local is_same = call('HGET', RUN, 'made') == token
    return {is_same and 1 or 0, record_of(ID)}
  end
  local fields = tonumber(ARGV[14])
  for place = 15, 13 + 2 * fields, 2 do
    call('HSET', RUN, ARGV[place], ARGV[place + 1])
  end
  -- Not first: a Redis that is full stops a script at its first write alone, and lets deletions through.
  call('DEL', EVENTS, ANSWERS)
  set_status(status)
  call('HSET', RUN, 'created_us', string.format('%.0f', NOW_US), 'owner_hash', owner_hash,
    'attempt', 0, 'first', ARGV[13], 'end', ARGV[13], 'made', token)
  if key ~= '' then
    call('HSET', RUN, 'key', key)
    call('SET', PREFIX .. 'key:' .. key, ID, 'EX', LIVE_SECONDS)
  end
  local thread = call('HGET', RUN, 'thread')
  if thread then
    call('SET', PREFIX .. 'thread:' .. thread, ID, 'EX', LIVE_SECONDS)
  end
  for _, index in ipairs({RUNS, PREFIX .. 'owner:' .. owner_hash}) do
    call('ZADD', index, string.format('%.0f', NOW_US), ID)
    call('EXPIRE', index, 2 * LIVE_SECONDS + math.ceil(TTL))
  end
  keep_alive()
  due_at(NOW + LEASE)
  local run = load()
  append(run, 15 + 2 * fields)
  if status == 'INTERRUPTED' then
    call('HSET', RUN, 'started_at', text(NOW))
    due_at(NOW + MAX_WAIT_SECONDS)
  end
  if call('HGET', RUN, 'claims') == '1' then
    give(run, token, status)
  else
    changed()
  end
  return {1, record_of(ID)}
end

-- ARGV: 9 hash of owner and thread.
function ops.newest()
  local id = call('GET', PREFIX .. 'thread:' .. ARGV[9])
  if not id or call('EXISTS', PREFIX .. 'run:' .. id) == 0 then
    return false
  end
  return record_of(id)
end

function ops.get()
  if call('EXISTS', RUN) == 0 then
    return false
  end
  return record_of(ID)
end

-- ARGV: 9 owner's hash or '', 10 status or '', 11 microseconds, 12 id of the place before, 13 limit, 14 how many to
-- look at. The reply: records, then the last place that was looked at, or nothing at the end.
function ops.list()
  local index = ARGV[9] == '' and RUNS or PREFIX .. 'owner:' .. ARGV[9]
  local limit, look = tonumber(ARGV[13]), tonumber(ARGV[14])
  local found = {}
  local offset, seen_us, seen_id = 0, ARGV[11], ARGV[12]
  while offset < look do
    local some = call('ZREVRANGEBYSCORE', index, ARGV[11], '-inf', 'WITHSCORES', 'LIMIT', offset, 100)
    for place = 1, #some, 2 do
      local id, us = some[place], string.format('%.0f', tonumber(some[place + 1]))
      if us ~= ARGV[11] or id < ARGV[12] then
        seen_us, seen_id = us, id
        local known = call('HMGET', PREFIX .. 'run:' .. id, 'status', 'owner_hash')
        local is_wanted = known[1] and (ARGV[10] == '' or known[1] == ARGV[10])
        if is_wanted and (ARGV[9] == '' or known[2] == ARGV[9]) then
          found[#found + 1] = record_of(id)
          if #found == limit then
            return {found, seen_us, seen_id}
          end
        end
      end
    end
    if #some < 200 then
      return {found, false, false}
    end
    offset = offset + 100
  end
  return {found, seen_us, seen_id}
end

function ops.waiting()
  return {call('SCARD', PREFIX .. 'waiting:ACCEPTED'), call('SCARD', PREFIX .. 'waiting:INTERRUPTED')}
end

-- ARGV: 9 token.
function ops.claim()
  local run, token = load(), ARGV[9]
  if not run or call('HGET', RUN, 'void') == token then
    return false
  end
  if not (run.held and run.token == token) then
    local is_lost = run.status == 'RUNNING' and run.lease <= NOW and not run.direct
    if run.status ~= 'ACCEPTED' and not (is_lost and run.attempt < MAX_ATTEMPTS) then
      return false
    end
    give(run, token, 'RUNNING')
  end
  return {record_of(ID), call('HGET', RUN, 'payload')}
end

-- ARGV: 9 token, 10 '1' when it had begun.
function ops.release()
  local run = of(ARGV[9])
  if not run then
    return {'lost'}
  end
  if not run.held then
    return {run.status == 'ACCEPTED' and 'ok' or 'lost'}
  end
  accept(ARGV[10] == '1' and run.attempt or run.attempt - 1)
  -- What asked is gone.
  call('HDEL', RUN, 'questions')
  changed()
  return {'ok'}
end

-- Undo a claim whose answer has reached nobody, also when it comes after this. Somebody must look after the run then,
-- at once.
-- ARGV: 9 token.
function ops.hand_back()
  local run, token = load(), ARGV[9]
  if not run or run.final then
    return
  end
  call('HSET', RUN, 'void', token)
  if run.held and run.token == token then
    accept(run.attempt - 1)
    changed()
  elseif run.status ~= 'ACCEPTED' then
    return
  end
  due_at(NOW)
end

-- ARGV: 9 token.
function ops.heartbeat()
  local run = of(ARGV[9])
  if not run or not run.held then
    return {'lost'}
  end
  local lease = NOW + LEASE
  call('HSET', RUN, 'lease', text(lease))
  due_at(lease)
  keep_alive()
  return {'ok', run.cancel_reason}
end

-- ARGV: 9 token, 10 entries.
function ops.append()
  local run = of(ARGV[9])
  if not run or not run.held then
    return {'lost'}
  end
  local hole = append(run, 10)
  if hole then
    return hole
  end
  changed()
  return {'ok'}
end

-- ARGV: 9 token, 10 status, 11 result, 12 entries.
function ops.finish()
  local run = of(ARGV[9])
  if not run then
    return {'lost'}
  end
  if not run.held then
    return {run.final and run.status == ARGV[10] and 'ok' or 'lost'}
  end
  if run.cancel_reason and ARGV[10] ~= 'CANCELLED' then
    return {'cancel', run.cancel_reason}
  end
  local hole = append(run, 12)
  if hole then
    return hole
  end
  finish(ARGV[10], ARGV[11])
  return {'ok'}
end

-- ARGV: 9 token, 10 questions, 11 '1' when the worker keeps the run, 12 entries.
function ops.interrupt()
  local run = of(ARGV[9])
  if not run then
    return {'lost'}
  end
  local count = tonumber(ARGV[12])
  if count > 0 and run.past >= tonumber(ARGV[11 + 3 * count]) and not run.final then
    -- Done already, and perhaps answered meanwhile.
    return {'ok'}
  end
  if not run.held then
    return {'lost'}
  end
  if run.cancel_reason then
    return {'cancel', run.cancel_reason}
  end
  local hole = append(run, 12)
  if hole then
    return hole
  end
  set_status('INTERRUPTED')
  call('HSET', RUN, 'questions', ARGV[10])
  if ARGV[11] ~= '1' then
    call('HDEL', RUN, 'lease')
    call('DEL', ANSWERS)
    due_at(NOW + MAX_WAIT_SECONDS)
  end
  keep_alive()
  changed()
  return {'ok'}
end

-- ARGV: 9 questions that stay open, 10 how many, 11 trace or '', 12 the ids of all, in any order, 13 id and answer of each.
function ops.resume()
  local run = load()
  if not run or run.status ~= 'INTERRUPTED' then
    return false
  end
  local expected = {}
  for _, id in ipairs(cjson.decode(ARGV[12])) do
    expected[id] = true
  end
  for _, question in ipairs(cjson.decode(call('HGET', RUN, 'questions') or '[]')) do
    if not expected[question.interrupt_id] then
      return false
    end
    expected[question.interrupt_id] = nil
  end
  if next(expected) then
    return false
  end
  call('HSET', RUN, 'trace', ARGV[11])
  for place = 13, #ARGV, 2 do
    call('HSET', ANSWERS, ARGV[place], ARGV[place + 1])
  end
  if not run.held then
    accept(0)
  else
    set_status(ARGV[10] == '0' and 'RUNNING' or 'INTERRUPTED')
    call('HSET', RUN, 'questions', ARGV[9])
    call('EXPIRE', ANSWERS, LIVE_SECONDS)
  end
  ordered()
  return record_of(ID)
end

-- ARGV: 9 token, 10 ids.
function ops.answers_taken()
  local run = of(ARGV[9])
  if not run or not run.held then
    return {'lost'}
  end
  for place = 10, #ARGV do
    call('HDEL', ANSWERS, ARGV[place])
  end
  return {'ok'}
end

-- ARGV: 9 reason.
function ops.ask_cancel()
  local run = load()
  if not run then
    return false
  end
  if run.held and not run.cancel_reason then
    call('HSET', RUN, 'cancel_reason', ARGV[9])
    ordered()
  end
  return record_of(ID)
end

function ops.call_off()
  call('PUBLISH', PREFIX .. 'orders', ID)
end

-- ARGV: 9 status, attempt and end as they were, 12 new status, 13 result, 14 entries.
function ops.settle()
  local run = load()
  if not run or run.final or (run.held and run.lease > NOW) then
    return 0
  end
  if run.status ~= ARGV[9] or run.attempt ~= tonumber(ARGV[10]) or run.past ~= tonumber(ARGV[11]) then
    return 0
  end
  append(run, 14)
  call('HDEL', RUN, 'token')
  finish(ARGV[12], ARGV[13])
  return 1
end

-- ARGV: 9 seconds.
function ops.reading()
  if call('EXISTS', RUN) == 1 then
    local known = tonumber(call('HGET', RUN, 'read_until') or 0)
    call('HSET', RUN, 'read_until', text(math.max(known, NOW + tonumber(ARGV[9]))))
  end
end

-- ARGV: 9 start, 10 most bytes. The reply: first, end, status, then first, end and frames of entries.
function ops.read()
  local found = call('HMGET', RUN, 'first', 'end', 'status', 'weight')
  if not found[3] then
    return false
  end
  local reply = {tonumber(found[1]), tonumber(found[2]), found[3]}
  local start = math.max(tonumber(ARGV[9]), reply[1])
  if start >= reply[2] then
    return reply
  end
  local room = tonumber(ARGV[10])
  local entries = call('XLEN', EVENTS)
  local count = math.min(1000, math.ceil(room * entries / math.max(1, tonumber(found[4]))) + 1)
  local from = '0-' .. string.format('%.0f', start + 1)
  for number, entry in ipairs(call('XRANGE', EVENTS, from, '+', 'COUNT', count)) do
    local body = entry[2][4]
    room = room - #body
    if number > 1 and room < 0 then
      break
    end
    reply[#reply + 1] = tonumber(entry[2][2])
    reply[#reply + 1] = tonumber(string.sub(entry[1], 3))
    reply[#reply + 1] = body
  end
  return reply
end

-- ARGV: 9 limit.
function ops.overdue()
  local found = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', text(NOW), 'LIMIT', 0, tonumber(ARGV[9]))) do
    if call('EXISTS', PREFIX .. 'run:' .. id) == 1 then
      call('ZADD', DUE, text(NOW + LEASE / 3), id)
      call('EXPIRE', PREFIX .. 'run:' .. id, LIVE_SECONDS)
      found[#found + 1] = record_of(id)
    else
      call('ZREM', DUE, id)
      stands(nil, id)
    end
  end
  return found
end

-- ARGV: 9 limit. The reply: how many were taken out.
function ops.sweep()
  local swept = 0
  for _, member in ipairs(call('ZRANGEBYSCORE', ENDED, '-inf', text(NOW), 'LIMIT', 0, tonumber(ARGV[9]))) do
    local owner_hash, id = string.match(member, '^(%x+):(.*)$')
    local known = call('HMGET', PREFIX .. 'run:' .. id, 'owner_hash', 'status')
    -- It expires a moment later than its place here says; then the next sweep finds it.
    if known[1] ~= owner_hash or not FINAL[known[2]] then
      -- Its id may have been used again, by the same owner or another.
      if known[1] ~= owner_hash then
        call('ZREM', PREFIX .. 'owner:' .. owner_hash, id)
      end
      if not known[1] then
        call('ZREM', RUNS, id)
      end
      call('ZREM', ENDED, member)
      swept = swept + 1
    end
  end
  return swept
end

-- Do once what all the others do, so that a user that may not is refused at the start.
-- Inside scripts, Redis does not say which command it was.
function ops.probe()
  local key, stream = PREFIX .. 'probe', PREFIX .. 'probe-events'
  local commands = {
    {'SET', key, '', 'EX', 1},
    {'GET', key},
    {'DEL', key, stream},
    {'HSET', key, 'a', 1},
    {'HSETNX', key, 'b', 1},
    {'HGET', key, 'a'},
    {'HMGET', key, 'a'},
    {'HGETALL', key},
    {'HDEL', key, 'b'},
    {'EXISTS', key},
    {'EXPIRE', key, 1},
    {'PEXPIRE', key, 1},
    {'DEL', key},
    {'SADD', key, 'a'},
    {'SCARD', key},
    {'SREM', key, 'a'},
    {'ZADD', key, 1, 'a'},
    {'ZRANGEBYSCORE', key, 0, 1},
    {'ZREVRANGEBYSCORE', key, 1, 0},
    {'ZREM', key, 'a'},
    {'XADD', stream, '0-1', 'f', 0},
    {'XRANGE', stream, '-', '+'},
    {'XLEN', stream},
    {'XDEL', stream, '0-1'},
    {'DEL', stream},
    {'PUBLISH', PREFIX .. 'orders-probe', ''},
  }
  for _, command in ipairs(commands) do
    local reply = redis.pcall(unpack(command))
    local refused = type(reply) == 'table' and reply.err
    if refused and (string.find(refused, 'NOPERM') or string.find(refused, "script can't")) then
      local what = "run the '" .. command[1] .. "' command"
      if string.find(refused, 'channel') then
        what = 'access one of the channels'
      elseif string.find(refused, ' key') then
        what = 'access one of the keys'
      end
      return redis.error_reply('NOPERM this user has no permissions to ' .. what)
    elseif refused then
      return reply
    end
  end
end

return ops[ARGV[1]]()

