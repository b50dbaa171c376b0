-- Keys: value, version, lease, epoch. Arguments: lease number, its milliseconds, an epoch if there is none.
-- Answers what it is (1 found, 2 load, 3 wait), then the value, or version, epoch and time, or the wait.
local value = redis.call('GET', KEYS[1])
if value then
  return { 1, value }
end
if not redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return { 3, tostring(redis.call('PTTL', KEYS[3])) }
end
redis.call('SET', KEYS[4], ARGV[3], 'NX')
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return { 2, redis.call('GET', KEYS[2]) or '0', redis.call('GET', KEYS[4]), now }
