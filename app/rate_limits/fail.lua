-- Counts one failed attempt of an address to show a key. Once the limit is reached nothing more is counted.
--
-- KEYS  1 the address's failures of the last minute
-- ARGV  1 the attempt  2 the limit
-- Returns {failures before this one, now, oldest} with times in microseconds.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000)
local used = redis.call('ZCARD', KEYS[1])
if used < tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('PEXPIRE', KEYS[1], 61000)
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { used, string.format('%.0f', now), oldest }
