"""A short chaos run of `python -m chaos`, with real processes, checked by its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 20261122
# The duration is no part of the test: a run ends as soon as all its work has ended.
PATIENCE_MINUTES = 3


@pytest.mark.timeout(60 * PATIENCE_MINUTES + 60)
def test_nothing_is_lost_or_charged_wrongly_whatever_is_struck(tmp_path: Path) -> None:
    options = ["--generations", "60", "--strike-seconds", "30", "--minutes", str(PATIENCE_MINUTES)]

    run = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", str(SEED), "--folder", str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert f"seed {SEED}: kept" in run.stdout
    # The run did exercise what it checks.
    assert "strikes in all: none" not in run.stdout
    assert "of them adopted: 0" not in run.stdout
    assert "chats charged exactly: 0" not in run.stdout
