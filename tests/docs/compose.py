"""`docker-compose.yml` as Compose reads it, without an engine; what is put into the values stays as it is written."""

import re
from typing import Any

import yaml

from tests.docs.files import read

# `${NAME}` and `${NAME:-…}`; Compose writes a dollar sign for the container as `$$`.
_USED = re.compile(r"(?<!\$)\$\{([A-Z][A-Z0-9_]*)")


def compose() -> dict[str, Any]:
    """The whole file, with its anchors merged."""
    loaded = yaml.safe_load(read("docker-compose.yml"))
    assert isinstance(loaded, dict)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """What is said of each service."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def settings_used(part: object) -> set[str]:
    """The settings of `.env` that a part of the file uses."""
    return set(_USED.findall(str(part)))
