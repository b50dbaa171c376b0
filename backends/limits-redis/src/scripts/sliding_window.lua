-- One call against an exact sliding window, on the server's clock.
--
-- KEYS[1]  the client's admitted calls, a list of microseconds, oldest first
-- ARGV[1]  calls per window
-- ARGV[2]  length of the window in microseconds
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
if last > 0 and last <= now - window then
  redis.call('DEL', key)
elseif last > 0 then
  while tonumber(redis.call('LINDEX', key, 0)) <= now - window do
    redis.call('LPOP', key)
  end
end

local used, admitted = redis.call('LLEN', key), 0
if used < limit then
  admitted, used, last = 1, used + 1, now
  redis.call('RPUSH', key, string.format('%.0f', now))
  -- A millisecond more: the list must not end before the window does.
  redis.call('PEXPIRE', key, math.ceil(window / 1000) + 1)
end

local retry_after = 0
if used >= limit then
  retry_after = tonumber(redis.call('LINDEX', key, 0)) + window - now
end
return { admitted, limit - used, last + window - now, retry_after }
