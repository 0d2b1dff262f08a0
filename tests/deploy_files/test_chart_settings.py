"""Each process gets the settings that it reads, and secrets only by reference."""

import json
import re
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from tests.deploy_files.chart import ALL_RELEASES, environment, pods
from tests.deploy_files.releases import MOST, settings_of_processes
from tests.docs.compose import services
from tests.docs.files import read

PROCESSES = ("api", "worker", "migrate")
# URLs in which passwords stand, and one half of a pair of keys.
_SECRET_TOO = {"DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL", "S3_ACCESS_KEY_ID"}
# The first is always s3. The others concern a folder, and a terminal.
_NOT_TO_BE_SET = {"STORAGE", "LOCAL_STORAGE_DIR", "LOG_FORMAT"}


def secret_settings() -> set[str]:
    """The settings that are secrets, or may hold one."""
    typed = {name.upper() for name, field in Settings.model_fields.items() if _is_secret(field.annotation)}
    # JSON with the keys of upstreams.
    return typed | _SECRET_TOO | {"LLM_UPSTREAMS"}


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


def chart_settings(process: str, *kinds: str) -> set[str]:
    return {name for kind in kinds for name in settings_of_processes()[process][kind]}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_gets_the_settings_that_compose_gives_it(process: str) -> None:
    """Of Compose it is tested that these are the ones which the process reads."""
    given = chart_settings(process, "plain", "required", "optional")

    assert given | ({"STORAGE"} if process != "migrate" else set()) == set(services()[process]["environment"])


def test_every_setting_can_be_set() -> None:
    reachable = {name for process in PROCESSES for name in chart_settings(process, "plain", "required", "optional")}

    assert {name.upper() for name in Settings.model_fields} - reachable == _NOT_TO_BE_SET


def test_no_secret_is_a_value() -> None:
    plain = {name for process in PROCESSES for name in chart_settings(process, "plain")}
    of_schema = set(json.loads(read("deploy/helm/junis/values.schema.json"))["properties"]["settings"]["properties"])

    assert not plain & secret_settings()
    assert of_schema == plain


def test_it_is_said_what_each_secret_can_do() -> None:
    section = read("SECURITY.md").partition("## What each secret can do\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\|([^|]+)\|", section, re.MULTILINE)

    assert set(re.findall(r"`([A-Z0-9_]+)`", "".join(first_cells))) == secret_settings() | {"SERVER_DATABASE_PASSWORD"}


@pytest.mark.parametrize("process", ["api", "worker"])
def test_every_plain_setting_arrives(process: str) -> None:
    given = environment("every-setting", process)

    for name in chart_settings(process, "plain"):
        assert given[name]["value"] != "", name


@pytest.mark.parametrize("release", ALL_RELEASES)
def test_secrets_are_references(release: str) -> None:
    for process in pods(release):
        given = environment(release, process)
        names = chart_settings(process, "required", "optional")
        assert names <= set(given)
        for name in names:
            assert set(given[name]) == {"name", "valueFrom"}, name


def test_a_secret_that_is_needed_is_waited_for() -> None:
    """A pod does not start before it is there, and Kubernetes says which one is missing."""
    for process in PROCESSES:
        given = environment("least", process)
        optional = {
            name for name, entry in given.items() if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("optional")
        }
        assert optional == chart_settings(process, "optional")


def test_the_owners_password_is_known_to_the_migration_alone() -> None:
    secrets = {process: secret_names("least", process) for process in PROCESSES}

    assert secrets == {"api": {"junis"}, "worker": {"junis"}, "migrate": {"junis-owner"}}


def secret_names(release: str, process: str) -> set[str]:
    references = [
        entry["valueFrom"]["secretKeyRef"] for entry in environment(release, process).values() if "valueFrom" in entry
    ]
    return {reference["name"] for reference in references}


def test_a_setting_may_be_in_another_secret() -> None:
    assert environment("most", "worker")["REDIS_URL"]["valueFrom"] == {"secretKeyRef": {"name": "redis", "key": "url"}}
    assert environment("most", "worker")["S3_SECRET_ACCESS_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "shop", "key": "S3_SECRET_ACCESS_KEY"}
    }


def test_beside_a_transaction_pooler_the_direct_url_is_needed() -> None:
    for process in ("api", "worker"):
        reference = environment("most", process)["DATABASE_DIRECT_URL"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "shop", "key": "DATABASE_DIRECT_URL"}


def test_numbers_arrive_as_they_are_written() -> None:
    worker = environment("most", "worker")

    assert worker["MAX_OUTPUT_BYTES"]["value"] == "5368709120"
    assert worker["POLL_INTERVAL_SECONDS"]["value"] == "0.25"
    assert environment("most", "api")["CONSOLE_KIT"]["value"] == "false"


@pytest.mark.parametrize("process", ["api", "worker"])
@pytest.mark.parametrize("release", ["least", "most"])
def test_a_process_can_start_with_what_it_gets(release: str, process: str) -> None:
    secrets = {
        "DATABASE_URL": "postgresql://junis_server:pw@pooler:6432/junis",
        "DATABASE_DIRECT_URL": "postgresql://junis_server:pw@postgres:5432/junis",
        "REDIS_URL": "redis+sentinel://:pw@one:26379,two:26379/leader/0",
        "S3_ACCESS_KEY_ID": "id",
        "S3_SECRET_ACCESS_KEY": "secret",
        "SECRET_KEY": "seal",
    }
    given = environment(release, process)
    values = {name: entry.get("value", secrets.get(name, "")) for name, entry in given.items()}

    settings = Settings.model_validate({name.lower(): value for name, value in values.items() if value})

    assert settings.storage == "s3"
    assert settings.public_url == MOST["settings"]["PUBLIC_URL"]
    assert settings.redis_url == secrets["REDIS_URL"]
