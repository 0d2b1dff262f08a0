"""The environment that Compose gives to a service."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from devstack.config import parse_dotenv

_OPEN = re.compile(r"\$(?:\$|\{(?P<name>[A-Z][A-Z0-9_]*)(?::(?P<how>[-?])|\}))")


class MissingSettingError(Exception):
    """A setting that has no default is not set."""


def environments(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """By its name, the environment of each service of a folder's `docker-compose.yml` with its `.env`."""
    settings = parse_dotenv((folder / ".env").read_text())
    services = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"]
    return {
        name: {key: interpolated(str(value), settings) for key, value in (service.get("environment") or {}).items()}
        for name, service in services.items()
    }


def interpolated(text: str, settings: Mapping[str, str]) -> str:
    """The text with what it names in place of `$$`, `${A}`, `${A:-B}` and `${A:?B}`, of which B may name others.

    Raises:
        MissingSettingError: a setting that must be set is not.
    """
    done, rest = "", text
    while match := _OPEN.search(rest):
        done, rest = done + rest[: match.start()], rest[match.end() :]
        if match[0] == "$$":
            done += "$"
        elif match["how"] is None:
            done += settings.get(match["name"], "")
        else:
            default, rest = _closed(rest)
            value = settings.get(match["name"], "")
            if not value and match["how"] == "?":
                raise MissingSettingError(f"{match['name']}: {default}")
            done += value or interpolated(default, settings)
    return done + rest


def _closed(text: str) -> tuple[str, str]:
    """What stands before the brace that closes, and what stands behind it."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return text[:place], text[place + 1 :]
    raise ValueError("a brace is not closed")
