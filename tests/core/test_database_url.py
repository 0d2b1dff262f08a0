"""What the driver is told of DATABASE_URL in each of its usual forms."""

import pytest

from app.core.database_url import database_address, direct_url_of
from app.core.settings import InvalidSettingsError, Settings, load_settings

NEON = "postgresql://alex:pw@ep-a1-{}us-east-2.aws.neon.tech/dbname?sslmode=require&channel_binding=require"


def settings(**values: str) -> Settings:
    return Settings.model_validate(values)


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("postgresql://app:pw@db:5432/junis", "postgresql://app:pw@db:5432/junis"),
        ("postgres://app:p%2Fw@db/junis?sslmode=require", "postgresql://app:p%2Fw@db/junis?sslmode=require"),
        ("postgresql+asyncpg://app@db/junis?ssl=require", "postgresql://app@db/junis?sslmode=require"),
        ("postgresql+asyncpg://app@db/junis?ssl=true", "postgresql://app@db/junis?sslmode=require"),
        ("postgresql+psycopg://app@db/junis?sslmode=VERIFY-FULL", "postgresql://app@db/junis?sslmode=verify-full"),
        ("postgresql+psycopg2://app@db/junis", "postgresql://app@db/junis"),
        ("postgresql:///junis?host=/run/pg", "postgresql:/junis?host=%2Frun%2Fpg"),
        ("postgresql://app@:5433/junis?host=/run/pg", "postgresql://app@/junis?port=5433&host=%2Frun%2Fpg"),
        ("postgresql://app@%2Frun%2Fpg/junis", "postgresql://app@%2Frun%2Fpg/junis"),
        ("postgresql://app@[::1]:5433/junis", "postgresql://app@[::1]:5433/junis"),
        ("postgresql://db/junis?keepalives=1&gssencmode=disable&client_encoding=UTF8", "postgresql://db/junis"),
    ],
)
def test_a_url_is_understood(given: str, understood: str) -> None:
    assert settings(database_url=given).database.urls == [understood]


def test_what_postgres_is_told_of_a_session_is_no_part_of_the_url() -> None:
    address = settings(
        database_url="postgresql://db/junis?application_name=shop&options=-csearch_path%3Dshop&connect_timeout=7"
    ).database

    assert address.urls == ["postgresql://db/junis"]
    assert address.session == {"application_name": "shop", "options": "-csearch_path=shop"}
    assert address.connect_seconds == 7


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://app@one:5432,two:5433/junis",
        "postgresql://app@/junis?host=one,two&port=5432,5433",
        "postgresql://app@/junis?host=one,two&port=5432,5433&target_session_attrs=read-write",
    ],
)
def test_of_several_hosts_each_is_tried_and_must_take_writes(given: str) -> None:
    address = settings(database_url=given).database

    assert [url.replace("?host=", "@").replace("&port=", ":") for url in address.urls] in (
        ["postgresql://app@one:5432/junis", "postgresql://app@two:5433/junis"],
        ["postgresql://app@/junis@one:5432", "postgresql://app@/junis@two:5433"],
    )
    assert address.target == "read-write"


def test_the_pooler_of_neon_is_known_and_passed_by() -> None:
    neon = settings(database_url=NEON.format("pooler."))

    assert neon.database.is_pooled
    assert neon.direct_database == database_address(NEON.format("pooler.").replace("-pooler", ""))


@pytest.mark.parametrize("pooler", ["none", "session"])
def test_what_the_operator_says_of_a_pooler_counts(pooler: str) -> None:
    assert not settings(database_url=NEON.format("pooler."), database_pooler=pooler).database.is_pooled


@pytest.mark.parametrize(
    "url", ["postgresql://app-pooler.neon.tech@db/junis", "postgresql://a-pooler.example.com/junis"]
)
def test_other_names_mean_no_pooler(url: str) -> None:
    assert direct_url_of(url) is None


def test_a_pooler_in_transaction_mode_needs_the_address_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:geheim@pooler/junis")
    monkeypatch.setenv("DATABASE_POOLER", "transaction")

    with pytest.raises(InvalidSettingsError, match=r"^DATABASE_DIRECT_URL: required if"):
        load_settings()


def test_beside_a_pooler_sessions_are_opened_at_the_database() -> None:
    both = settings(
        database_url="postgresql://pooler/junis",
        database_pooler="transaction",
        database_direct_url="postgresql://db/junis",
    )

    assert (both.database.urls, both.database.is_pooled) == (["postgresql://pooler/junis"], True)
    assert (both.direct_database.urls, both.direct_database.is_pooled) == (["postgresql://db/junis"], False)
