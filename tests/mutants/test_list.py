"""The list of mutants fits the code that it is about."""

from pathlib import Path

import pytest

from mutants.mutant import Mutant, read_mutants
from mutants.running import ROOT


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_the_text_that_a_mutant_replaces_is_in_its_file_exactly_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old


@pytest.mark.parametrize("command", sorted({mutant.killed_by for mutant in read_mutants()}))
def test_the_tests_of_mutants_exist(command: str) -> None:
    module, *arguments = command.split()

    assert module in {"pytest", "chaos"}
    assert all(Path(ROOT, name.partition("::")[0]).exists() for name in arguments if name.startswith("tests/"))
    assert module == "chaos" or arguments
