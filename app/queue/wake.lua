-- Queue one wake, unless one of its kind waits already, and call the workers.
-- KEYS: the kind's queue, the key of the job's description. ARGV: job id, description, how long to keep it (ms), channel.
-- A worker reads the jobs whose score its own clock has reached. The score 0 has always been reached; other entries are
-- not ours, and must not count as a wake that waits.
if redis.call('ZCOUNT', KEYS[1], '-inf', 0) == 0 then
    redis.call('PSETEX', KEYS[2], ARGV[3], ARGV[2])
    redis.call('ZADD', KEYS[1], 0, ARGV[1])
end
redis.call('PUBLISH', ARGV[4], '')
