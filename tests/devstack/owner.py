"""Runs servers in a folder until it is killed: `python -m tests.devstack.owner FOLDER`."""

import json
import os
import signal
import sys
from pathlib import Path

from devstack.servers import EmbeddedServers


def main() -> None:
    """Start both, print where they are, and wait for a signal."""
    with EmbeddedServers(Path(sys.argv[1]), durable=False) as servers:
        report = {
            "owner": os.getpid(),
            "pids": [servers.postgres.pid, servers.valkey.pid],
            "database_url": servers.database_url,
            "redis_url": servers.redis_url,
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
