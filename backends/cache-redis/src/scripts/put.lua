-- Keys: value, version, lease, then a set for each tag.
-- Arguments: new version, its milliseconds, value, milliseconds to live, channel, message.
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
for i = 4, #KEYS do
  redis.call('SADD', KEYS[i], KEYS[1])
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  end
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
