"""A mutant is applied alone, and counts as killed only if the tests that pass without it find it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mutants.mutant import InvalidMutantError, Mutant, read_mutants
from mutants.running import Outcome, copied, run_command, try_mutants

_CODE = "def is_allowed(used: int) -> bool:\n    return used < 3\n"
OFF_BY_ONE = Mutant("off by one", "limit.py", "used < 3", "used <= 3", "not is_allowed(3)")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "limit.py").write_text(_CODE)
    return tmp_path


def run(command: str, folder: Path) -> int:
    """Evaluate the command, an expression, with the code of the folder, and end as pytest would."""
    known: dict[str, Any] = {}
    try:
        exec((folder / "limit.py").read_text(), known)  # noqa: S102 - the test's own code
    except SyntaxError:
        return 2
    return 0 if eval(command, known) else 1  # noqa: S307 - the test's own expression


def outcomes(mutants: Sequence[Mutant], folder: Path) -> list[Outcome]:
    told: list[Outcome] = []
    alive = try_mutants(mutants, folder, lambda _, outcome: told.append(outcome), run)
    assert len(alive) == sum(outcome is not Outcome.KILLED for outcome in told)
    return told


def test_a_mutant_that_a_test_finds_is_killed_and_taken_back(checkout: Path) -> None:
    assert outcomes([OFF_BY_ONE, OFF_BY_ONE], checkout) == [Outcome.KILLED, Outcome.KILLED]
    assert (checkout / "limit.py").read_text() == _CODE


def test_a_mutant_that_no_test_finds_survives(checkout: Path) -> None:
    assert outcomes([replace(OFF_BY_ONE, killed_by="is_allowed(1)")], checkout) == [Outcome.SURVIVED]


def test_tests_that_fail_anyway_kill_nothing(checkout: Path) -> None:
    assert outcomes([replace(OFF_BY_ONE, killed_by="is_allowed(3)")], checkout) == [Outcome.NOT_RUN]


def test_a_mutant_that_is_no_program_is_not_killed(checkout: Path) -> None:
    assert outcomes([replace(OFF_BY_ONE, new="used <")], checkout) == [Outcome.NOT_RUN]


@pytest.mark.parametrize("old", ["used < 4", "u"])
def test_a_mutant_whose_text_is_not_there_once_cannot_be_applied(checkout: Path, old: str) -> None:
    with pytest.raises(InvalidMutantError, match=r"limit\.py has its old text"):
        outcomes([replace(OFF_BY_ONE, old=old)], checkout)


def test_an_incomplete_entry_and_a_name_that_is_used_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mutants.toml"
    entry = '[[mutants]]\nname = "a"\nfile = "b"\nold = "c"\nnew = "d"\nkilled_by = "pytest e"\n'

    path.write_text(entry)
    assert len(read_mutants(path)) == 1
    path.write_text(entry + entry)
    with pytest.raises(InvalidMutantError, match="same name"):
        read_mutants(path)
    path.write_text(entry.replace('new = "d"\n', ""))
    with pytest.raises(InvalidMutantError, match="needs exactly"):
        read_mutants(path)


def test_a_copy_has_the_code_and_no_environments(tmp_path: Path) -> None:
    for name in ("app/code.py", ".venv/bin/python", ".venv-3.13/bin/python", ".git/HEAD", "app/__pycache__/code.pyc"):
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    with copied(tmp_path / "checkout") as copy:
        assert [str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()] == ["app/code.py"]


def test_a_command_runs_the_code_of_its_folder(checkout: Path) -> None:
    (checkout / "pytest.ini").write_text("[pytest]\n")
    (checkout / "test_limit.py").write_text(
        "from limit import is_allowed\n\n\ndef test_it():\n    assert is_allowed(3)\n"
    )

    assert run_command("pytest test_limit.py", checkout) == 1
    OFF_BY_ONE.apply(checkout)
    assert run_command("pytest test_limit.py", checkout) == 0
    assert run_command("pytest there_is_no_such_file.py", checkout) not in {0, 1}
