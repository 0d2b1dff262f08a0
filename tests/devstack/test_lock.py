import subprocess
import sys
from pathlib import Path

import pytest

from devstack.lock import LockHeldError, exclusive_lock

HOLDS = """
import pathlib, sys
from devstack.lock import exclusive_lock

with exclusive_lock(pathlib.Path(sys.argv[1]), patience=0):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDS, str(path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_if_the_lock_is_held_the_error_names_its_holder(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:
        with pytest.raises(LockHeldError, match=f"pid {holder.pid}"), exclusive_lock(tmp_path / "lock", patience=0):
            pass
        holder.kill()


def test_the_next_process_waits_for_the_holder_to_end(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:

        def end_holder(_seconds: float) -> None:
            holder.kill()
            holder.wait()

        with exclusive_lock(tmp_path / "lock", patience=600, pause=end_holder):
            assert holder.poll() is not None


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:
        holder.kill()
        holder.wait()

    with exclusive_lock(tmp_path / "lock", patience=0):
        assert (tmp_path / "lock").exists()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive_lock(tmp_path / "lock", patience=0):
            assert (tmp_path / "lock").read_text().strip().isdecimal()
