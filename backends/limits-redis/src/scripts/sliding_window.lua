-- One call against an exact sliding window, on the server's clock.
--
-- KEYS[1]  the client's admitted calls, a list of microseconds, oldest first
-- ARGV[1]  calls per window
-- ARGV[2]  length of the window in microseconds
--
-- A number is handed to a command with all 16 digits that a time in microseconds has ("%.17g").
--
-- Answers { admitted, remaining, reset, retry_after }, times in microseconds.
local key, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A clock that was set back stands still: calls never leave the window early by it.
local last = tonumber(redis.call('LINDEX', key, -1) or 0)
if last > now then
  now = last
end

-- A new client writes nothing before its first call: a server out of memory may refuse that one.
local used, oldest = 0, now
if last > 0 and last <= now - window then
  redis.call('DEL', key)
elseif last > 0 then
  -- Most often one has left the window since the last call: two are looked at, then ever more. The
  -- newest has not left it, so this ends.
  local size, gone, heads = 2, 0, nil
  repeat
    heads, gone = redis.call('LRANGE', key, 0, size - 1), 0
    while heads[gone + 1] and tonumber(heads[gone + 1]) <= now - window do
      gone = gone + 1
    end
    if gone == 1 then
      redis.call('LPOP', key)
    elseif gone > 1 then
      redis.call('LTRIM', key, gone, -1)
    end
    size = size * 2
  until heads[gone + 1]
  oldest, used = tonumber(heads[gone + 1]), redis.call('LLEN', key)
end

local admitted = 0
if used < limit then
  admitted, used = 1, used + 1
  redis.call('RPUSH', key, now)
  -- The list must not end before the window does, a millisecond more included. It is told to live a
  -- quarter of a window longer, so that only the first call of each quarter has to say so.
  local quarter = math.ceil(window / 4)
  if used == 1 or math.floor(now / quarter) > math.floor(last / quarter) then
    redis.call('PEXPIRE', key, math.ceil((window + quarter) / 1000) + 1)
  end
  last = now
end

local retry_after = 0
if used >= limit then
  retry_after = oldest + window - now
end
return { admitted, limit - used, last + window - now, retry_after }
