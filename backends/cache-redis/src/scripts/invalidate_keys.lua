-- Keys: value, version and lease of each key. Arguments: new version, its milliseconds, channel, message.
-- Answers how many values went.
local gone = 0
for i = 1, #KEYS, 3 do
  redis.call('SET', KEYS[i + 1], ARGV[1], 'PX', ARGV[2])
  gone = gone + redis.call('UNLINK', KEYS[i])
  redis.call('DEL', KEYS[i + 2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return gone
