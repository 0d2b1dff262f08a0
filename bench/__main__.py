"""Run every bench, one after the other, each in its own process: the memory of one must not count for the next."""

import subprocess
import sys

_BENCHES = ("latency", "fairness", "inflight", "copy", "silence", "turns")


def main() -> int:
    """Run them all.

    Returns:
        1 if a requirement is missed or a bench could not be run.
    """
    codes = [_run(name) for name in _BENCHES]  # all of them, even if one fails
    return int(any(codes))


def _run(name: str) -> int:
    return subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main())
