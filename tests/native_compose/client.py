"""The program `docker` of these tests: passes its arguments on to the engine, and prints what it says."""

import json
import os
import socket
import sys


def main() -> int:
    """Ask the engine; the status is that of the command."""
    reads = "-T" in sys.argv and "exec" in sys.argv
    asked = {"arguments": sys.argv[1:], "stdin": sys.stdin.read() if reads else ""}
    with socket.create_connection(("127.0.0.1", int(os.environ["NATIVE_COMPOSE_PORT"]))) as connection:
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.read())
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["status"])


if __name__ == "__main__":
    sys.exit(main())
