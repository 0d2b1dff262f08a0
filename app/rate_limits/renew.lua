-- Renews the slots of one process, and adds those again that a flush of Redis has lost.
--
-- KEYS  the organizations' slots   ARGV  1 the lease in microseconds, then for each key the number of its requests
-- and the requests

local time = redis.call('TIME')
local expiry = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local position = 2
for _, key in ipairs(KEYS) do
    local count = tonumber(ARGV[position])
    for i = position + 1, position + count do
        redis.call('ZADD', key, expiry, ARGV[i])
    end
    redis.call('PEXPIRE', key, 60000)
    position = position + count + 1
end
return 0
