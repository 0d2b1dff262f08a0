-- Removes a request from all windows that it was counted in, as if it had never been made.
--
-- KEYS  1 the organization's requests of the last minute   2 the key's requests of the last minute
--       3 the key's requests of the last hour, by minute
-- ARGV  1 the request
-- Returns 1 if it was counted, else 0.

local counted_at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not counted_at then
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local bucket = math.floor(tonumber(counted_at) / 60000000)
if redis.call('HINCRBY', KEYS[3], bucket, -1) <= 0 then
    redis.call('HDEL', KEYS[3], bucket)
end
return 1
