"""Keys are shown once and stored nowhere: not in logs, responses, the database or Redis."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.conftest import Replicas
from tests.faults.keyring import revoke
from tests.rate_limits.windows import redis_at

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
UNKNOWN_KEY = f"jns_live_{'Un1' * 10}zz"

# Faults of the vendor, whose error texts may repeat the operator's key.
VENDOR_FAULTS = ["status-401", "status-403", "status-500", "html-502", "drop-before-response", "garbage"]


@pytest.fixture
async def failing_organizations(database: Database) -> list[Organization]:
    """Organizations whose chat models fail, each in a different way."""
    models = [f"sim-chat--{fault}" for fault in VENDOR_FAULTS]
    price = "{ per_million_prompt_tokens = 1, per_million_completion_tokens = 1 }"
    entries = [
        f'[[models]]\nname = "{model}"\nkind = "chat"\nmax_output_tokens = 10\nprice = {price}\n' for model in models
    ]
    await factories.import_catalog(database, "\n".join(entries))
    agents = [f'[[agents]]\nname = "main"\nis_orchestrator = true\nmodel = "{model}"\n' for model in models]
    return [await factories.make_organization(database, agents=text) for text in agents]


async def responses_of_all_kinds(
    base_url: str, organization: Organization, others: Sequence[Organization]
) -> list[str]:
    """The headers and bodies of a process's responses, both when everything works and when various things fail."""
    key = organization.api_key
    requests: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/credits", {"X-API-Key": key}, None),
        ("GET", "/credits", {"Authorization": f"Bearer {key}"}, None),
        ("GET", "/credits", {"X-API-Key": key, "Authorization": f"Bearer {UNKNOWN_KEY}"}, None),
        ("GET", "/credits", {"X-API-Key": UNKNOWN_KEY}, None),
        ("GET", "/credits", {"X-API-Key": f"{key}x"}, None),
        ("GET", f"/credits?api_key={key}", {}, None),
        ("GET", f"/nowhere?key={key}", {"X-API-Key": key}, None),
        ("POST", CHAT, {"X-API-Key": key}, b"{not json"),
        ("POST", CHAT, {"X-API-Key": key}, b'{"messages": 1}'),
        ("DELETE", "/credits", {"X-API-Key": key}, None),
    ]
    responses = []
    async with httpx.AsyncClient(timeout=30) as client:
        for method, path, headers, body in requests:
            responses.append(await client.request(method, base_url + path, headers=headers, content=body))
        for other in others:
            for is_streamed in (False, True):
                chat = HELLO | {"stream": is_streamed}
                responses.append(await client.post(base_url + CHAT, headers=other.headers, json=chat))
    return [f"{response.headers}\n{response.text}" for response in responses]


async def test_no_secret_is_shown_or_stored(
    stack: Stack,
    replicas: Replicas,
    database: Database,
    organization: Organization,
    failing_organizations: list[Organization],
) -> None:
    keys = [each.api_key for each in (organization, *failing_organizations)]
    secrets = [*keys, UNKNOWN_KEY, *secrets_of(replicas.settings)]

    seen = await responses_of_all_kinds(replicas.base_url(0), organization, failing_organizations)
    await revoke(database, organization, organization.api_key)
    seen += await responses_of_all_kinds(replicas.base_url(1), organization, [])

    logs = [log.read_text() for log in (*replicas.logs, *logs_of(stack))]
    assert sum("request" in log for log in logs) >= 3
    for secret in secrets:
        assert not any(secret in text for text in (*seen, *logs))
    assert await tables_with(database, *secrets, *(secret.encode().hex() for secret in secrets)) == []
    # Proves that the search works: it finds the stored prefix of a key.
    assert "api_keys" in await tables_with(database, organization.api_key[:13])
    redis = redis_at(replicas.valkey.url)
    names = b"\n".join(await redis.keys("*")).decode()
    await redis.aclose(close_connection_pool=True)
    assert "junis:" in names
    assert not any(secret in names for secret in secrets)


def secrets_of(settings: dict[str, str]) -> list[str]:
    """The operator's settings that nobody may see."""
    named = [settings[name] for name in ("LLM_API_KEY", "REPLICATE_API_TOKEN", "SECRET_KEY")]
    passwords = [urlsplit(settings[name]).password for name in ("DATABASE_URL", "REDIS_URL")]
    return named + [password for password in passwords if password]


def logs_of(stack: Stack) -> list[Path]:
    return [stack.folder / "api.log", stack.folder / "worker.log"]


async def tables_with(database: Database, *texts: str) -> list[str]:
    """The tables that contain one of the texts in any column. Each row is written out once, for all of them."""
    async with database.transaction() as tx:
        tables = await tx.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [
            name
            for (name,) in tables
            if await tx.fetchval(
                f'SELECT EXISTS (SELECT FROM (SELECT t::text AS line FROM "{name}" t OFFSET 0) lines,'
                " unnest($1::text[]) wanted WHERE strpos(line, wanted) > 0)",
                texts,
            )
        ]
