-- Keys: value, version, lease, then a sorted set for each tag: its values by when they end.
-- Arguments: new version, its milliseconds, value, milliseconds to live, channel, message.
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 4, #KEYS do
  -- Those that have ended leave, a hundred at most, so that the set does not outgrow what is there.
  local ended = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, 100)
  if #ended > 0 then
    redis.call('ZREM', KEYS[i], unpack(ended))
  end
  redis.call('ZADD', KEYS[i], now + tonumber(ARGV[4]), KEYS[1])
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  end
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
