"""`.env.example` names every setting with its default, and Compose uses no other."""

import re
from pathlib import Path

import pytest

from app.core.settings import Settings, load_settings
from devstack.config import parse_dotenv
from devstack.vendors import choose_vendors
from tests.docs.files import read

SETTINGS = {name.upper() for name in Settings.model_fields}
# Settings that Compose and the quickstart read themselves.
NOT_OF_THE_SERVER = {
    *("POSTGRES_PASSWORD", "REDIS_PASSWORD", "COMPOSE_PROFILES", "HOST", "PORT", "DATA_DIR", "BASE_IMAGE", "JUNIS_TAG"),
    *("TLS", "DOMAIN", "OUTER_PROXIES", "OWNER_DATABASE_URL", "SERVER_DATABASE_PASSWORD"),
    "SERVER_DATABASE_USER",
    *("API_SCALE", "WORKER_SCALE", "GRAFANA_PORT"),
    *("API_MEMORY", "WORKER_MEMORY", "POSTGRES_MEMORY", "REDIS_MEMORY", "OBJECTS_MEMORY"),
}
SHOWN = re.compile(r"^(?P<hidden># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
SIMULATED = re.compile(r"^#   (?P<name>[A-Z][A-Z0-9_]*)=", re.MULTILINE)
# Compose writes a dollar sign for the container as `$$`. One may be a part of another one's default.
INTERPOLATED = re.compile(r"(?<!\$)\$\{(?P<name>[A-Z][A-Z0-9_]*)(?=(?P<rest>[^}]*))")


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def loaded(dotenv: str) -> dict[str, object]:
    """The settings that a process would run with, except the secret key, which is random each time."""
    Path(".env").write_text(dotenv, encoding="utf-8")
    return load_settings().model_dump(exclude={"secret_key"})


def test_every_setting_is_in_the_example_once() -> None:
    names = [match["name"] for match in SHOWN.finditer(read(".env.example"))]

    assert sorted(names) == sorted(SETTINGS | NOT_OF_THE_SERVER)


def test_every_setting_has_its_comment() -> None:
    lines = read(".env.example").splitlines()
    for match in SHOWN.finditer(read(".env.example")):
        above = lines[lines.index(match[0]) - 1]
        # Two settings may share one comment.
        assert above.startswith("# ") or SHOWN.fullmatch(above), match["name"]


def test_the_values_in_the_example_are_the_defaults() -> None:
    shown = "\n".join(f"{match['name']}={match['value']}" for match in SHOWN.finditer(read(".env.example")))

    assert loaded(shown) == loaded("")


def test_a_copy_of_the_example_changes_no_setting() -> None:
    assert loaded(read(".env.example")) == loaded("")


def test_with_a_copy_of_the_example_the_quickstart_simulates_the_vendors() -> None:
    vendors = choose_vendors(parse_dotenv(read(".env.example")), "127.0.0.1:9000")

    assert not vendors.is_chat_real
    assert not vendors.is_replicate_real


def test_the_quickstarts_settings_for_the_simulator_exist() -> None:
    simulated = {match["name"] for match in SIMULATED.finditer(read(".env.example"))}

    assert simulated
    assert simulated <= SETTINGS


def test_compose_uses_only_settings_that_exist() -> None:
    names = {match["name"] for match in INTERPOLATED.finditer(read("docker-compose.yml"))}

    assert names <= SETTINGS | NOT_OF_THE_SERVER


def test_compose_requires_the_settings_that_are_empty_in_the_example() -> None:
    """And no setting that Compose requires is commented out in the example."""
    empty = {match["name"] for match in SHOWN.finditer(read(".env.example")) if not match["hidden"]}
    uses = [match.groups() for match in INTERPOLATED.finditer(read("docker-compose.yml"))]

    assert {name for name, rest in uses if rest.startswith(":?")} == empty
