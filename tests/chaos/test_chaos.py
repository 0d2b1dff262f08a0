"""The chaos run, short: it is `python -m chaos` that is held to, with its processes and its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 20261122
# The time is no part of the test: a run ends as soon as everything has.
PATIENCE_MINUTES = 3


@pytest.mark.timeout(60 * PATIENCE_MINUTES + 60)
def test_nothing_is_lost_or_paid_twice_whatever_is_killed(tmp_path: Path) -> None:
    options = ["--generations", "60", "--strike-seconds", "20", "--minutes", str(PATIENCE_MINUTES)]

    run = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", str(SEED), "--folder", str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert f"seed {SEED}: kept" in run.stdout
    # It did put the promises to the test.
    assert "strikes in all: none" not in run.stdout
    assert "adopted: 0" not in run.stdout
