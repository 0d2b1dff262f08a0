"""The state of the server as operators see it, whatever of it is away."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.admin.system.inspection import Answer, System
from app.admin.system.queries import Failures, Queue
from app.admin.system.settings_shown import shown_address, shown_settings
from app.admin.system.views import parts_of, sorted_processes, verdict_of
from app.core.database import Database
from app.core.redis_keys import redis_key
from app.core.settings import Settings, UpstreamSettings
from app.core.watch import OK, Finding
from app.predictions.budget import Standing, VendorBudget
from app.queue.processes import Process, ProcessKind, read_processes, reporting
from app.retention.models import Kind
from app.retention.runs import Run
from devstack.managed import stop_all
from devstack.valkey import Valkey
from tests import programs
from tests.admin.conftest import Browser, add_user
from tests.conftest import Stack
from tests.waiting import until

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET = "must-not-be-seen"
RUN = Run(Kind.SESSIONS, NOW, NOW, 1234)


def process(kind: ProcessKind = ProcessKind.WORKER, *, silent_for: float = 1.0, **loops: bool) -> Process:
    return Process("id", kind, "host", 1, "1.0", NOW, 1000, loops, silent_for)


def system(**parts: object) -> System:
    """A system in which everything works, but for what is given."""
    sound: dict[str, object] = {
        "queue": Answer(Queue(0, 0, 0, 0, None, NOW)),
        "failures": Answer(Failures(0, 0, [])),
        "revisions": Answer(("0025", "0025")),
        "processes": Answer([process()]),
        "vendor": Answer(Standing(30, 30, 600, timedelta(), None)),
        "is_shared": Answer(value=True),
        "redis": OK,
        "store": OK,
    }
    return System(**{**sound, **parts})  # type: ignore[arg-type] # each test gives the right parts


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        ({}, "ok", "Everything answers"),
        ({"queue": Answer(Queue(9, 0, 0, 0, NOW - timedelta(seconds=90), NOW))}, "look", "waits for 1 min 30 s"),
        ({"queue": Answer(fault="It did not answer within a second")}, "bad", "Postgres did not say"),
        ({"revisions": Answer(("0024", "0025"))}, "bad", "junis migrate"),
        ({"retention": Answer(([RUN], 2))}, "look", "2 ledgers cannot be sealed"),
        ({"retention": Answer(([RUN], 0))}, "ok", "Everything answers"),
        ({"revisions": Answer(("0026", "0025"))}, "ok", "Everything answers"),
        ({"processes": Answer([])}, "bad", "No worker reports"),
        ({"processes": Answer([process(), process(silent_for=48)])}, "look", "1 process is silent"),
        ({"processes": Answer([process(poll=False)])}, "look", "A loop of a worker has stalled"),
        ({"vendor": Answer(Standing(30, 30, 600, timedelta(), ("no credit", timedelta(seconds=9))))}, "bad", "refuses"),
        ({"vendor": Answer(Standing(0, 30, 600, timedelta(seconds=4), None))}, "look", "creates go on in 4.0 s"),
        ({"redis": Finding("away", "no response")}, "look", "Redis cannot be used"),
        ({"store": Finding("refused", "no such bucket")}, "bad", "object store cannot be used"),
    ],
    ids=range(14),
)
def test_the_page_begins_with_what_everything_comes_to(parts: dict[str, object], kind: str, words: str) -> None:
    verdict = verdict_of(system(**parts))

    assert verdict.kind == kind
    assert words in verdict.sentence


def test_trouble_comes_first() -> None:
    parts = parts_of(system(redis=Finding("away", "x"), store=Finding("refused", "y")), "s3://media")
    silent, live = process(silent_for=40), process()

    assert [part.name for part in parts[:2]] == ["Object store", "Redis"]
    assert sorted_processes([live, silent]) == [silent, live]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://junis:{SECRET}@db:5432/junis?sslmode=require", "postgresql://db:5432/junis"),
        (f"postgresql://u:{SECRET}@one:1,two:2/db?password={SECRET}", "postgresql://one:1,two:2/db"),
        (f"redis://:{SECRET}@@redis:6379/0", "redis://redis:6379/0"),
        (f"https://key:{SECRET}@llm.example/v1", "https://llm.example/v1"),
        (f"postgresql://h/db?user=me@{SECRET}", "set, not shown"),
        (f"postgresql://u:{SECRET}?@h/db", "set, not shown"),
        ("https://media.example", "https://media.example"),
    ],
    ids=range(7),
)
def test_addresses_are_shown_without_users_and_passwords(url: str, shown: str) -> None:
    assert shown_address(url) == shown


def test_no_secret_is_among_the_settings() -> None:
    secrets = {
        name: SecretStr(SECRET)
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) and name != "replicate_webhook_secret"
    }
    upstreams = {"near": UpstreamSettings(base_url="http://127.0.0.1:1/v1", api_key=SecretStr(SECRET))}
    given = {
        "database_url": f"postgresql://junis:{SECRET}@db/junis",
        "redis_url": f"redis://:{SECRET}@redis/0",
        "s3_access_key_id": SECRET,
        "llm_upstreams": upstreams,
    }
    settings = Settings.model_construct(**{**Settings().model_dump(), **secrets, **given})

    shown = dict(shown_settings(settings))

    assert SECRET not in str(shown)
    assert len(secrets) > 6
    assert shown["LLM_API_KEY"] == shown["S3_ACCESS_KEY_ID"] == "set, not shown"
    assert shown["LLM_UPSTREAMS"] == "near at http://127.0.0.1:1/v1 (key set, not shown)"
    assert shown["DATABASE_URL"] == "postgresql://db/junis"
    assert shown["REPLICATE_WEBHOOK_SECRET"] == "not set"
    assert set(shown) == {name.upper() for name in Settings.model_fields}


async def test_an_operator_sees_what_runs(operator_browser: Browser, stack: Stack) -> None:
    async def page() -> str:
        text = (await operator_browser.get("/system")).text
        return text if "<strong>Worker</strong>" in text and "<strong>API</strong>" in text else ""

    text = await until(page)

    assert text
    assert re.search(r"Migration (\d{4}), up to date\.", text)
    assert "creates may go at once" in text
    assert "Limits are exact over all processes." in text
    # Above them are reasons of failures, whose words may be those of a test's secret.
    settings = text[text.index("Settings of this process") :]
    for secret in ("SECRET_KEY", "METRICS_TOKEN", "LLM_API_KEY", "REPLICATE_API_TOKEN"):
        value = stack.environment.get(secret)
        assert value is None or value not in settings
        assert secret in settings
    password = re.search(r"://[^:]+:([^@]+)@", stack.environment["DATABASE_URL"])
    assert password
    assert password[1] not in text


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that the test may stop."""
    server = Valkey(tmp_path / "valkey", log=tmp_path / "valkey.log", durable=False)
    server.start()
    try:
        yield server
    finally:
        stop_all(server, grace=5.0)


@pytest.fixture
async def browser_beside(stack: Stack, database: Database, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Browser]:
    """An operator's browser at an API that has a Redis of its own."""
    settings = {**stack.environment, "REDIS_URL": valkey.url}
    _, email = await add_user(database, None, is_operator=True)
    api = programs.api_process(settings, tmp_path / "api.log")
    async with programs.running_apis(api):
        other_stack = Stack(api.url, settings, stack.simulator, stack.servers, stack.folder)
        async with Browser(other_stack, email=email, organization=None) as browser:
            assert (await browser.sign_in()).status_code == 303
            yield browser


async def test_the_page_is_drawn_within_two_seconds_while_redis_is_away(
    browser_beside: Browser, valkey: Valkey
) -> None:
    running = (await browser_beside.get("/system")).text
    stop_all(valkey, grace=5.0)

    async def told() -> str:
        began = time.monotonic()
        page = await browser_beside.get("/system")
        assert page.status_code == 200
        assert time.monotonic() - began < 2
        return page.text if "Redis does not answer" in page.text else ""

    away = await until(told)

    assert "Limits are exact" in running
    assert "Object store" in away
    assert "Redis keeps the reports of processes, and does not answer" in away
    assert "Migration" in away


async def test_a_process_reports_and_is_forgotten_when_it_stops(valkey: Valkey) -> None:
    redis = Redis.from_url(valkey.url)
    async with reporting(redis, ProcessKind.WORKER, lambda: {"poll": True}):

        async def reported() -> bool:
            return bool(await read_processes(redis))

        await until(reported)
        (found,) = await read_processes(redis)
        assert (found.kind, found.loops, found.is_silent) == (ProcessKind.WORKER, {"poll": True}, False)
        assert (found.memory or 0) > 1_000_000
        await redis.pexpire(redis_key("process", found.id), 560_000)
        (silent,) = await read_processes(redis)
        assert silent.is_silent

    assert await read_processes(redis) == []
    await redis.aclose()


async def test_the_budget_is_told_without_taking_from_it(valkey: Valkey) -> None:
    redis = Redis.from_url(valkey.url)
    budget = VendorBudget(redis, "token", creates_per_minute=600, reads_per_minute=600)

    assert await budget.standing() == Standing(30, 30, 600, timedelta(), None)
    await budget.wait_before_create()
    assert (await budget.standing()).creates == 29
    await budget.throttled(20)
    await budget.denied("no credit")
    standing = await budget.standing()

    assert timedelta(seconds=15) < standing.blocked_for <= timedelta(seconds=20)
    assert (standing.denial or ("", None))[0] == "no credit"
    await redis.aclose()
