-- One call against the generic cell rate algorithm, on the server's clock.
--
-- KEYS[1]  the client's theoretical arrival time, in microseconds
-- ARGV[1]  interval between two calls in microseconds
-- ARGV[2]  how long before its time a call may come, in microseconds
--
-- A number is handed to a command with all 16 digits that a time in microseconds has ("%.17g").
--
-- Answers { admitted, remaining, reset, retry_after }, times in microseconds.
local key, interval, tolerance = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local arrival = tonumber(redis.call('GET', key) or 0)
local ahead, admitted = math.max(arrival - now, 0), 0
if ahead <= tolerance then
  admitted, ahead = 1, ahead + interval
  redis.call('SET', key, now + ahead, 'PX', math.ceil(ahead / 1000) + 1)
end

if ahead > tolerance then
  return { admitted, 0, ahead, ahead - tolerance }
end
return { admitted, math.floor((tolerance - ahead) / interval) + 1, ahead, 0 }
