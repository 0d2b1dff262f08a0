-- Queue one wake, unless one of its kind waits already, and call the workers.
-- KEYS: the kind's queue, the key of the job's description. ARGV: job id, description, how long to keep it (ms),
-- when it may run (ms), channel.
if redis.call('ZCARD', KEYS[1]) == 0 then
    redis.call('PSETEX', KEYS[2], ARGV[3], ARGV[2])
    redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
end
redis.call('PUBLISH', ARGV[5], '')
