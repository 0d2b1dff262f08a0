"""What the client of Redis is told of REDIS_URL in each of its usual forms."""

from pathlib import Path

import pytest

from app.core.redis_url import redis_address
from app.core.settings import InvalidSettingsError, Settings, load_settings


def test_one_server() -> None:
    address = redis_address("redis://app:pw@cache:6380/2")

    assert (address.url, address.addresses) == ("redis://app:pw@cache:6380/2", [("cache", 6380)])


def test_what_the_server_decides_itself_is_passed_over() -> None:
    url = "redis://cache/0?protocol=3&max_connections=5&health_check_interval=10&retry_on_timeout=true&client_name=shop"

    assert Settings.model_validate({"redis_url": url}).redis_url == url
    assert redis_address(url).url == "redis://cache/0?client_name=shop"


def test_several_nodes_of_a_cluster() -> None:
    assert redis_address("redis://one,two:6380").addresses == [("one", 6379), ("two", 6380)]


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://:pw@one,two:26380/main/3?sentinel_username=s&sentinel_password=p%2Fw",
        "sentinel://:pw@one,two:26380/3?master_name=main&sentinel_username=s&sentinel_password=p%2Fw",
        "redis+sentinel://:pw@one,two:26380/3?service_name=main&sentinel_username=s&sentinel_password=p%2Fw",
    ],
)
def test_sentinels(url: str) -> None:
    address = redis_address(url)

    assert address.sentinels
    assert address.sentinels.leader == "main"
    assert address.sentinels.addresses == [("one", 26379), ("two", 26380)]
    assert address.sentinels.options == {"username": "s", "password": "p/w"}
    assert address.url == "redis://:pw@sentinels/3"


@pytest.mark.parametrize(
    ("query", "requirement", "checks_name"),
    [
        ("", "required", True),
        ("?ssl_check_hostname=false", "required", False),
        ("?ssl_cert_reqs=none", "none", False),
        ("?ssl_cert_reqs=CERT_NONE", "none", False),
        ("?ssl_cert_reqs=CERT_REQUIRED", "required", True),
    ],
)
def test_the_name_in_a_certificate_is_checked_unless_the_url_says_otherwise(
    query: str, requirement: str, checks_name: bool
) -> None:
    options = redis_address(f"rediss://cache/0{query}").options

    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (requirement, checks_name)


def test_sentinels_over_tls_have_the_same_authorities(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()

    address = redis_address(f"rediss+sentinel://one/main?ssl_ca_certs={authority}")

    assert address.sentinels
    assert address.sentinels.options["ssl_ca_certs"] == address.options["ssl_ca_certs"] == str(authority)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://:geheim@cache:port/0", "the port is not a number from 1 to 65535"),
        ("redis://:geheim@one,two:0/0", "the port is not a number from 1 to 65535"),
        ("redis://:geheim@cache/zero", "the database must be a number"),
        ("redis://:geheim@cache?db=zero", "the database must be a number"),
        (
            "redis://:geheim@cache?decode_responses=true",
            "the parameter decode_responses is not supported",
        ),
        ("redis://:geheim@cache?ssl_cert_reqs=none", "the parameter ssl_cert_reqs is not supported"),
        ("rediss://:geheim@cache?ssl_cert_reqs=never", "ssl_cert_reqs must be one of: required, optional, none"),
        ("rediss://:geheim@cache?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs names no file that can be read"),
        ("redis://:geheim@cache?socket_timeout=soon", "socket_timeout must be a number of seconds"),
        ("redis+sentinel://:geheim@one:26379", "the name of the leader is missing"),
        ("redis-cluster://:geheim@one:6379", "must start with one of: redis://, rediss://, unix://, redis+sentinel://"),
    ],
)
def test_what_is_not_understood_is_refused_without_showing_secrets(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    with pytest.raises(InvalidSettingsError) as refused:
        load_settings()

    assert str(refused.value).startswith(f"REDIS_URL: {reason}")
    assert "geheim" not in str(refused.value)


def test_a_socket() -> None:
    settings = Settings.model_validate({"redis_url": "unix:///run/cache.sock?db=3"})

    assert redis_address(settings.redis_url).url == "unix:/run/cache.sock?db=3"
