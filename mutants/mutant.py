"""Small defects of the product, each with the tests that must find it, as they stand in mutants.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

LIST = Path(__file__).with_name("mutants.toml")


class InvalidMutantError(Exception):
    """A mutant cannot be applied: its text is not in its file exactly once, or its entry is incomplete."""


@dataclass(frozen=True)
class Mutant:
    """One defect.

    Attributes:
        name: What goes wrong, in a few words.
        file: The file that is changed, relative to the root of the repository.
        old: The text that is replaced; it is in the file exactly once.
        new: The text that replaces it.
        killed_by: The module to run and its arguments, `pytest …` or `chaos …`, which must fail then.
    """

    name: str
    file: str
    old: str
    new: str
    killed_by: str

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """The mutant of an entry of the file.

        Raises:
            InvalidMutantError: A part of it is missing, unknown or no text.
        """
        names = cls.__dataclass_fields__
        if entry.keys() != names.keys() or not all(isinstance(value, str) for value in entry.values()):
            raise InvalidMutantError(f"{entry.get('name', 'a mutant')}: needs exactly {', '.join(names)}, as text")
        return cls(**entry)

    def apply(self, root: Path) -> str:
        """Change the file below this folder; returns its text as it was.

        Raises:
            InvalidMutantError: The text to replace is not there exactly once, or nothing would change.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise InvalidMutantError(f"{self.name}: {self.file} has its old text {found} times")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text

    def take_back(self, root: Path, text: str) -> None:
        """Write the file as it was."""
        (root / self.file).write_text(text, encoding="utf-8")


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of the file.

    Raises:
        InvalidMutantError: An entry is incomplete, or two have the same name.
    """
    mutants = [Mutant.from_entry(entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutants"]]
    if len({mutant.name for mutant in mutants}) < len(mutants):
        raise InvalidMutantError("two mutants have the same name")
    return mutants
