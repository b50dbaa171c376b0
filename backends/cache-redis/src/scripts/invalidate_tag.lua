-- Keys: the tag's sorted set, epoch. Arguments: new epoch, how many at most, channel, who says it.
-- Answers how many values went, and the names that were looked at: fewer than asked for when it was the last step.
redis.call('SET', KEYS[2], ARGV[1])
local names = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)
local gone = 0
if #names > 0 then
  redis.call('ZREM', KEYS[1], unpack(names))
  gone = redis.call('UNLINK', unpack(names))
  redis.call('PUBLISH', ARGV[3], cjson.encode({ from = ARGV[4], names = names }))
end
return { gone, names }
