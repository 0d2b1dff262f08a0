"""As much of `valkey-cli` as the documentation uses: a command from the arguments, or one from each line read."""

import os
import shlex
import sys

import redis


def main() -> int:
    """Print each response; the status is 1 if one is an error."""
    lines = [sys.argv[1:]] if sys.argv[1:] else [shlex.split(line) for line in sys.stdin if line.strip()]
    with redis.Redis(port=int(os.environ["VALKEY_PORT"]), password=os.environ["REDISCLI_AUTH"]) as client:
        for words in lines:
            try:
                sys.stdout.write(f"{client.execute_command(*words)!r}\n")
            except redis.RedisError as error:
                sys.stdout.write(f"{error}\n")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
