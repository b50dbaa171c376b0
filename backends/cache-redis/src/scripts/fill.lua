-- Keys: value, version, lease, epoch, then a sorted set for each tag: its values by when they end.
-- Arguments: version, epoch, lease number, when it began, longest fill, value, milliseconds to live.
-- Answers 1 when the value was kept, 0 when it was dropped.
if redis.call('GET', KEYS[3]) == ARGV[3] then
  redis.call('DEL', KEYS[3])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local is_late = now - tonumber(ARGV[4]) > tonumber(ARGV[5])
local version = redis.call('GET', KEYS[2]) or '0'
if is_late or version ~= ARGV[1] or redis.call('GET', KEYS[4]) ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[6], 'PX', ARGV[7])
for i = 5, #KEYS do
  -- Those that have ended leave, a hundred at most, so that the set does not outgrow what is there.
  local ended = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, 100)
  if #ended > 0 then
    redis.call('ZREM', KEYS[i], unpack(ended))
  end
  redis.call('ZADD', KEYS[i], now + tonumber(ARGV[7]), KEYS[1])
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[7]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[7])
  end
end
return 1
