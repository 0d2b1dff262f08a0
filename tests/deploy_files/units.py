"""The systemd units, read as systemd does: sections with options that may be given several times."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.files import ROOT, read

NAMES = ("junis-api", "junis-worker", "junis-migrate")
# Where the units say that the checkout is.
_INSTALLED = "/srv/junis"


@dataclass(frozen=True)
class Unit:
    """One unit. The options of all sections together: none of them stands in two."""

    name: str
    options: Mapping[str, tuple[str, ...]]

    def __getitem__(self, option: str) -> str:
        """The value of an option that is given once."""
        (value,) = self.options[option]
        return value

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the unit itself sets."""
        pairs = [pair for line in self.options.get("Environment", ()) for pair in shlex.split(line)]
        return dict(pair.split("=", 1) for pair in pairs)

    def command(self, environment: Mapping[str, str]) -> list[str]:
        """What it starts, in the checkout of the tests, with the values of `${NAME}`."""
        words = shlex.split(self["ExecStart"].replace(_INSTALLED, str(ROOT)))
        return [re.sub(r"\$\{(\w+)\}", lambda match: environment[match[1]], word) for word in words]


def unit(name: str) -> Unit:
    """The unit of this name."""
    options: dict[str, tuple[str, ...]] = {}
    for line in read(f"deploy/systemd/{name}.service").splitlines():
        if line and line[0] not in "#[":
            option, _, value = line.partition("=")
            options[option] = (*options.get(option, ()), value)
    return Unit(name, options)


def in_this_checkout(folder: Path) -> list[Path]:
    """Copies of all units in the folder, which start the programs of the tests' checkout."""
    copies = [folder / f"{name}.service" for name in NAMES]
    for copy in copies:
        copy.write_text(read(f"deploy/systemd/{copy.name}").replace(_INSTALLED, str(ROOT)))
    return copies
