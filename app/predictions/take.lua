-- Takes one call to the vendor from the budget that all processes share, or returns how long to wait.
--
-- KEYS  1 the budget: a hash with the tokens that are left and the time at which they were counted
-- ARGV  1 calls a minute  2 calls that may be made at once
-- Returns how many microseconds to wait; 0 if the call was taken.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rate, burst = tonumber(ARGV[1]) / 60000000, tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'blocked_until')
local blocked_until = tonumber(state[3] or 0)
if blocked_until > now then
    return string.format('%.0f', blocked_until - now)
end
local tokens = math.min(burst, tonumber(state[1] or burst) + (now - tonumber(state[2] or now)) * rate)
local wait = 0
if tokens < 1 then
    wait = (1 - tokens) / rate
else
    tokens = tokens - 1
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], 3600000)
return string.format('%.0f', wait)
