from pathlib import Path

import pytest

from devstack.config import SettingError, parse_dotenv, read_config
from devstack.vendors import choose_vendors

CHAT = {"LLM_BASE_URL": "https://chat.example/v1", "LLM_API_KEY": "secret", "LLM_MODEL": "large"}


def test_defaults(tmp_path: Path) -> None:
    config = read_config({}, tmp_path / ".env")

    assert (config.host, config.port) == ("127.0.0.1", 8000)
    assert config.data_dir == Path(".data").resolve()
    assert config.origin == "http://127.0.0.1:8000"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9000\nHOST=0.0.0.0\nOTHER=kept\n")

    config = read_config({"PORT": "9001"}, tmp_path / ".env")

    assert (config.host, config.port) == ("0.0.0.0", 9001)  # noqa: S104 - nothing is bound
    assert config.environ["OTHER"] == "kept"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8000.5"])
def test_an_invalid_port_is_refused(tmp_path: Path, port: str) -> None:
    with pytest.raises(SettingError, match="PORT"):
        read_config({"PORT": port}, tmp_path / ".env")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 - nothing is bound
        ("localhost", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("192.0.2.1", "http://192.0.2.1:8000"),
    ],
)
def test_the_url_of_the_server_matches_where_it_listens(tmp_path: Path, host: str, origin: str) -> None:
    assert read_config({"HOST": host}, tmp_path / ".env").origin == origin


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("NAME=value", {"NAME": "value"}),
        (" NAME = value ", {"NAME": "value"}),
        ("export NAME=value", {"NAME": "value"}),
        ("NAME='a # b'", {"NAME": "a # b"}),
        ('NAME="a b" # why', {"NAME": "a b"}),
        ("NAME=value # why", {"NAME": "value"}),
        ("NAME=a=b#c", {"NAME": "a=b#c"}),
        ("NAME=", {"NAME": ""}),
        ("# NAME=value", {}),
        ("", {}),
        ("no setting", {}),
    ],
)
def test_lines_of_a_dotenv_file(line: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(line) == expected


def test_without_credentials_both_vendors_are_simulated() -> None:
    vendors = choose_vendors({"REPLICATE_API_TOKEN": "", "LLM_API_KEY": ""}, "127.0.0.1:9")

    assert vendors.needs_simulator
    assert not vendors.is_chat_real
    assert not vendors.is_replicate_real
    assert vendors.environ == {
        "LLM_BASE_URL": "http://127.0.0.1:9/openai/v1",
        "LLM_API_KEY": "simulated",
        "LLM_MODEL": "sim-chat",
        "REPLICATE_API_TOKEN": "simulated",
        "REPLICATE_BASE_URL": "http://127.0.0.1:9/replicate",
        "OUTPUT_HOSTS": "127.0.0.1:9",
    }


def test_a_replicate_token_makes_replicate_real_and_leaves_chat_simulated() -> None:
    vendors = choose_vendors({"REPLICATE_API_TOKEN": "secret"}, "127.0.0.1:9")

    assert vendors.is_replicate_real
    assert vendors.needs_simulator
    assert set(vendors.environ) == set(CHAT)


def test_chat_settings_make_chat_real_and_leave_replicate_simulated() -> None:
    vendors = choose_vendors(CHAT, "127.0.0.1:9")

    assert vendors.is_chat_real
    assert vendors.needs_simulator
    assert set(vendors.environ) == {"REPLICATE_API_TOKEN", "REPLICATE_BASE_URL", "OUTPUT_HOSTS"}


def test_with_both_vendors_real_nothing_is_simulated() -> None:
    vendors = choose_vendors({**CHAT, "REPLICATE_API_TOKEN": "secret"}, "127.0.0.1:9")

    assert not vendors.needs_simulator
    assert vendors.environ == {}


@pytest.mark.parametrize("missing", ["LLM_API_KEY", "LLM_MODEL"])
def test_a_chat_server_may_need_no_key_and_may_be_asked_for_its_model(missing: str) -> None:
    settings = {name: value for name, value in CHAT.items() if name != missing}

    assert choose_vendors(settings, "127.0.0.1:9").is_chat_real


@pytest.mark.parametrize("url", [None, "", "  "])
def test_without_its_address_a_chat_model_is_refused(url: str | None) -> None:
    settings = {name: value for name, value in (CHAT | {"LLM_BASE_URL": url}).items() if value is not None}

    with pytest.raises(SettingError, match=r"^LLM_BASE_URL must be set too, since LLM_API_KEY and LLM_MODEL is"):
        choose_vendors(settings, "127.0.0.1:9")


def test_what_may_be_secret_of_the_address_is_not_shown() -> None:
    vendors = choose_vendors({"LLM_BASE_URL": "https://ada:secret@chat.example/v1?code=secret"}, "127.0.0.1:9")

    assert vendors.chat_url == "https://chat.example/v1"
