"""docs/dependencies.md is what `make audit` would write from the lock file, but for what only the network knows."""

import re
from collections.abc import Mapping

from devstack.dependency_audit import REASONS, direct_names, image_names, licence_of, locked
from tests.docs.files import read

ROW = re.compile(
    r"^\| (?P<name>[\w.-]+) \| (?P<version>[^|]+) \| (?P<released>\d{4}-\d\d-\d\d) \| [^|]+ \| (?P<licence>[^|]+) \|",
    re.MULTILINE,
)
AGAIN = "run `make audit`"


def rows(text: str) -> Mapping[str, tuple[str, str]]:
    """By the package's name, its version and when it was released."""
    return {match["name"]: (match["version"], match["released"]) for match in ROW.finditer(text)}


def test_the_page_has_the_versions_of_the_lock_file() -> None:
    versions = {name: (version, str(released)) for name, (version, released) in locked().items()}

    assert rows(read("docs/dependencies.md")) == {name: versions[name] for name in image_names()}, AGAIN


def test_it_is_said_why_each_is_here() -> None:
    named, _, needed = read("docs/dependencies.md").partition("## What these need")

    assert set(direct_names()) <= set(REASONS), "complete REASONS"
    assert list(rows(named)) == list(direct_names()), AGAIN
    assert needed


def test_the_licences_are_those_of_the_installed_packages() -> None:
    stated = {match["name"]: match["licence"] for match in ROW.finditer(read("docs/dependencies.md"))}
    # What is only for another Python is not here.
    here = {name: licence for name in stated if (licence := licence_of(name)) != "not installed here"}

    assert {name: stated[name] for name in here if stated[name] != "not installed here"} == {
        name: licence for name, licence in here.items() if stated[name] != "not installed here"
    }, AGAIN
    assert not [name for name, licence in stated.items() if re.search(r"\bA?GPL", licence)]
