import subprocess
import sys
from pathlib import Path

from tests.order import SECONDS, seconds_a_test
from tests.programs import ROOT

_TESTS = "def test_first():\n    pass\n\n\ndef test_second():\n    pass\n"


def test_what_is_said_to_take_long_exists() -> None:
    assert [name for name in SECONDS if not (ROOT / "tests" / name).exists()] == []


def test_what_is_said_of_a_file_counts_before_what_is_said_of_its_folder() -> None:
    sleeping, limits, other = (
        ROOT / "tests" / name for name in ("faults/test_sleeping_processes.py", "faults/test_limits.py", "x.py")
    )

    assert seconds_a_test(sleeping) == SECONDS["faults/test_sleeping_processes.py"]
    assert seconds_a_test(limits) == SECONDS["faults"]
    assert seconds_a_test(other) < min(SECONDS.values())


def test_the_longest_file_is_first_and_each_keeps_its_order(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_a_short_one.py").write_text(_TESTS)
    (tmp_path / "test_the_long_one.py").write_text(f"{_TESTS}\n\ndef test_third():\n    pass\n")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.order", "-p", "no:cacheprovider", "--collect-only", "-q"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stdout.split()[:5] == [
        "test_the_long_one.py::test_first",
        "test_the_long_one.py::test_second",
        "test_the_long_one.py::test_third",
        "test_a_short_one.py::test_first",
        "test_a_short_one.py::test_second",
    ]
