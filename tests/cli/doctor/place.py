"""A place in which all is well for `junis doctor`, so that each test can break one thing in it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Junis
from tests.cli.outcome import Outcome


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    state: str
    found: str
    mend: str


@dataclass(frozen=True)
class Patient:
    """What the doctor is shown: the settings may be changed before it is asked."""

    junis: Junis
    monkeypatch: pytest.MonkeyPatch

    def set(self, **settings: str) -> None:
        """Set these settings."""
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)

    def report(self, *options: str) -> dict[str, Line]:
        """The lines by the names of their checks."""
        outcome = self.run("--json", *options)
        lines = {entry.pop("check"): Line(**entry) for entry in json.loads(outcome.stdout)}
        assert outcome.status == int(any(line.state == "failed" for line in lines.values())), outcome.stdout
        return lines

    def run(self, *options: str) -> Outcome:
        """The command's output."""
        return self.junis("doctor", *options)


MakePatient = Callable[[], Patient]


def set_well(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, chat_url: str, redis_url: str, replicate_url: str
) -> None:
    """Settings with which every check succeeds, besides DATABASE_URL."""
    (folder / "objects").mkdir(mode=0o700)
    settings = {
        "REDIS_URL": redis_url,
        "LOCAL_STORAGE_DIR": str(folder / "objects"),
        "LLM_BASE_URL": chat_url,
        "LLM_API_KEY": "the-right-key-of-the-tests",
        "LLM_MODEL": "llama",
        "SECRET_KEY": "the-secret-key-of-the-tests",
        "REPLICATE_BASE_URL": replicate_url,
        "REPLICATE_API_TOKEN": "r8_the_token_of_the_tests",
        # Nobody listens there.
        "PUBLIC_URL": "http://127.0.0.1:9",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def moved(url: str, **parts: str) -> str:
    """The URL with another `user` or `password`."""
    split = urlsplit(url)
    user, password = parts.get("user", split.username), parts.get("password", split.password)
    return split._replace(netloc=f"{user}:{password}@{split.hostname}:{split.port}").geturl()
