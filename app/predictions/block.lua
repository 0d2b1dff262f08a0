-- Allows no call to the vendor for a while, because it responded that there were too many.
--
-- KEYS  1 the budget   ARGV  1 the wait in microseconds

local time = redis.call('TIME')
local until_then = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local known = tonumber(redis.call('HGET', KEYS[1], 'blocked_until') or 0)
if until_then > known then
    redis.call('HSET', KEYS[1], 'blocked_until', string.format('%.0f', until_then))
    redis.call('PEXPIRE', KEYS[1], 3600000)
end
return 0
