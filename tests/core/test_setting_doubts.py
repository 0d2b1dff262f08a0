"""What a process warns of when it starts: settings that are valid and probably wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.setting_doubts import Doubt, doubts_about_names, doubts_about_urls, doubts_about_values
from app.core.settings import Settings
from tests import programs
from tests.waiting import until

LONG = "a-secret-of-a-good-length"
# Of a shell, of containers, of Kubernetes, of other vendors, and of Compose itself.
OTHERS = (
    "PATH HOME HOSTNAME LANG TZ PWD SHLVL TERM USER LOGNAME MAIL SHELL PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV "
    "SSL_CERT_FILE GPG_KEY PYTHON_VERSION PYTHON_SHA256 PGSSLROOTCERT PGHOST PGPASSWORD AWS_ACCESS_KEY_ID "
    "AWS_SECRET_ACCESS_KEY AWS_REGION OPENAI_API_KEY OPENAI_BASE_URL REDIS_SERVICE_HOST REDIS_PORT "
    "REDIS_PORT_6379_TCP POSTGRES_PORT POSTGRES_USER POSTGRES_DB POSTGRES_PASSWORD REDIS_PASSWORD "
    "SERVER_DATABASE_PASSWORD HOST PORT DATA_DIR COMPOSE_PROFILES COMPOSE_PROJECT_NAME KUBERNETES_SERVICE_HOST "
    "SERVER_DATABASE_USER JUNIS_API_PORT HTTP_PROXY NO_PROXY LOG_DRIVER STORAGE_DRIVER PUBLIC_IP SECRET_NAME "
)


def doubted(**values: Any) -> dict[str, str]:
    """The settings that are doubted, with the reasons."""
    return {doubt.setting: doubt.reason for doubt in doubts_about_values(Settings.model_validate(values))}


@pytest.mark.parametrize("name", ["secret_key", "metrics_token", "s3_secret_access_key"])
def test_a_secret_that_may_have_been_cut_off_is_doubted_and_not_shown(name: str) -> None:
    reasons = doubted(**{name: "ab"})

    assert list(reasons) == [name.upper()]
    assert reasons[name.upper()].startswith("has only 2 characters. Compose cuts")


@pytest.mark.parametrize(
    ("name", "url"),
    [("database_url", "postgresql://junis:ab@postgres:5432/junis"), ("redis_url", "redis://:ab@redis:6379/0")],
)
def test_a_short_password_of_a_server_elsewhere_is_doubted(name: str, url: str) -> None:
    assert doubted(**{name: url})[name.upper()].startswith("has a password of only 2 characters")


@pytest.mark.parametrize("value", ["<your token>", "changeme", "change-me", "...", "sk-...", "your-api-key", "xxxx"])
def test_a_placeholder_is_doubted(value: str) -> None:
    assert doubted(llm_api_key=value) == {"LLM_API_KEY": "is a placeholder and no secret"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"secret_key": LONG, "metrics_token": LONG, "s3_secret_access_key": LONG},
        {"llm_api_key": "none", "replicate_api_token": "r8_short"},
        {"database_url": f"postgresql://junis:{LONG}@postgres/junis", "redis_url": f"redis://:{LONG}@redis"},
        {"database_url": "postgresql://junis:junis@localhost/junis", "redis_url": "redis://redis:6379/0"},
    ],
)
def test_sound_settings_are_not_doubted(values: dict[str, Any]) -> None:
    assert doubted(**values) == {}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("REPLICATE_TOKEN", "REPLICATE_API_TOKEN"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("LLM_BASEURL", "LLM_BASE_URL"),
        ("S3_ACCESS_KEY", "S3_ACCESS_KEY_ID"),
        ("REPLICTAE_API_TOKEN", "REPLICATE_API_TOKEN"),
    ],
)
def test_a_misspelt_setting_is_doubted(name: str, setting: str) -> None:
    assert list(doubts_about_names([name])) == [Doubt(name, f"is no setting. {setting} is one, and is not set")]


def test_a_key_with_a_space_is_doubted() -> None:
    assert doubted(replicate_api_token="Bearer r8_0123456789") == {
        "REPLICATE_API_TOKEN": "has a space inside, which no key has"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLM_BASE_URL", "https://host/v1/chat/completions"),
        ("LLM_BASE_URL", "https://host/v1/chat/completions/?a=1"),
        ("LLM_UPSTREAMS", '{"other": {"base_url": "https://host/v1/chat/completions"}}'),
        ("REPLICATE_BASE_URL", "https://api.replicate.com/v1"),
    ],
)
def test_a_url_with_what_is_added_to_it_is_doubted(name: str, value: str) -> None:
    (doubt,) = doubts_about_urls({name: value})

    assert doubt.setting == name
    assert doubt.reason.startswith("should end before /")


def test_base_urls_are_not_doubted() -> None:
    urls = {"LLM_BASE_URL": "https://host/v1", "REPLICATE_BASE_URL": "https://v1.host/v1beta", "LLM_UPSTREAMS": None}

    assert list(doubts_about_urls(urls)) == []


def test_a_similar_name_is_not_doubted_if_the_setting_itself_is_set() -> None:
    assert list(doubts_about_names(["DATABASE_URI", "DATABASE_URL"])) == []


def test_other_variables_are_not_doubted() -> None:
    assert list(doubts_about_names(OTHERS.split())) == []


async def test_both_programs_warn_at_their_start(environment: dict[str, str], tmp_path: Path) -> None:
    doubtful = {**environment, "SECRET_KEY": "ab", "SESSION_ACTIVE_HOUR": "geheim"}
    logs = [tmp_path / "worker.log", tmp_path / "api.log"]

    async def warned() -> bool:
        return all({"SECRET_KEY", "SESSION_ACTIVE_HOUR"} <= set(warnings_in(log)) for log in logs)

    with programs.running_worker(doubtful, logs[0]), programs.running_api(doubtful, logs[1]):
        await until(warned)

    assert not any("geheim" in log.read_text() for log in logs)


def warnings_in(log: Path) -> list[str]:
    """The settings that the log warns of. Every line of it is one JSON object."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["setting"] for line in lines if line["event"] == "setting_doubtful"]
