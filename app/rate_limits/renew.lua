-- Renews the slots of one process, and puts back those that a flush of Redis has lost.
--
-- KEYS  the organizations' slots   ARGV  1 the lease in microseconds, then for each key the number of its requests
-- and the requests

local time = redis.call('TIME')
local expiry = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local place = 2
for _, key in ipairs(KEYS) do
    local count = tonumber(ARGV[place])
    for i = place + 1, place + count do
        redis.call('ZADD', key, expiry, ARGV[i])
    end
    redis.call('PEXPIRE', key, 60000)
    place = place + count + 1
end
return 0
