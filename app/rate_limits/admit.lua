-- Decides one request by all limits of its organization and its key, and counts it in all windows or in none.
--
-- KEYS  1 the organization's requests of the last minute   2 its slots
--       3 the key's requests of the last minute            4 the key's requests of the last hour, by minute
-- ARGV  1 the request  2 per minute  3 concurrent  4 the key's per minute or 0  5 the key's per hour or 0
--       6 the lease of a slot in microseconds  7 1 to count the request, 0 to count nothing
-- Returns {refusal, wait, now, used, oldest, key's used, key's oldest, key's used in the hour, first minute counted};
-- times in microseconds; an oldest of 0 if nothing is counted.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local minute = 60000000
local member = ARGV[1]
local refusal, wait = '', 0

local function window(key, limit)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - minute)
    local used = redis.call('ZCARD', key)
    local oldest = 0
    if used > 0 then
        oldest = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    end
    if used >= limit and refusal == '' then
        refusal, wait = 'minute', oldest + minute - now
    end
    return used, oldest
end

local used, oldest = window(KEYS[1], tonumber(ARGV[2]))

local key_minute, key_hour = tonumber(ARGV[4]), tonumber(ARGV[5])
local key_used, key_oldest = 0, 0
if key_minute > 0 then
    key_used, key_oldest = window(KEYS[3], key_minute)
end

-- The hour is counted by whole minutes. A minute that is only partly within the hour counts as a whole.
local this_minute = math.floor(now / minute)
local hour_used, first_minute = 0, this_minute
if key_hour > 0 then
    local counts = redis.call('HGETALL', KEYS[4])
    for i = 1, #counts, 2 do
        local bucket = tonumber(counts[i])
        if bucket < this_minute - 60 then
            redis.call('HDEL', KEYS[4], counts[i])
        else
            hour_used = hour_used + tonumber(counts[i + 1])
            first_minute = math.min(first_minute, bucket)
        end
    end
    if hour_used >= key_hour and refusal == '' then
        refusal, wait = 'hour', (first_minute + 61) * minute - now
    end
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if refusal == '' and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
    refusal, wait = 'concurrency', 1000000
end

if refusal == '' and ARGV[7] == '1' then
    used, oldest = used + 1, oldest == 0 and now or oldest
    redis.call('ZADD', KEYS[1], now, member)
    redis.call('PEXPIRE', KEYS[1], 61000)
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[6]), member)
    redis.call('PEXPIRE', KEYS[2], 60000)
    if key_minute > 0 then
        key_used, key_oldest = key_used + 1, key_oldest == 0 and now or key_oldest
        redis.call('ZADD', KEYS[3], now, member)
        redis.call('PEXPIRE', KEYS[3], 61000)
    end
    if key_hour > 0 then
        hour_used = hour_used + 1
        redis.call('HINCRBY', KEYS[4], this_minute, 1)
        redis.call('PEXPIRE', KEYS[4], 3720000)
    end
end

-- As text, because Redis would truncate Lua's numbers to integers.
return { refusal, string.format('%.0f', wait), string.format('%.0f', now), used, string.format('%.0f', oldest),
    key_used, string.format('%.0f', key_oldest), hour_used, first_minute }
