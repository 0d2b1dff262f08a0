"""Every route of the application, asked by a foreign organization, another user of the same one, and a lesser key."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.agents.errors import AgentFileError
from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.sessions.conversations import make_colleague
from tests.tenancy.matrix import BASE, ROWS, Row, Whose, routes_of_the_application
from tests.tenancy.tenants import HELLO, UNKNOWN, Tenant, body_of, import_agents, url_of_file

CHAT = f"{BASE}/v1/chat/completions"
KEYED = {route: row for route, row in ROWS.items() if not row.is_open}
NAMED = {route: row for route, row in KEYED.items() if "{" in route}
LISTED = {route: row for route, row in KEYED.items() if "{" not in route and route.startswith("GET ")}


@dataclass(frozen=True)
class Others:
    """Who asks for what is the owner's."""

    owner: Organization
    colleague: Organization
    stranger: Organization


@pytest.fixture(scope="module")
async def others(database: Database, owner: Tenant, stranger: Tenant) -> Others:
    return Others(owner.organization, await make_colleague(database, owner.organization), stranger.organization)


@pytest.fixture(scope="module")
async def lesser(database: Database, owner: Tenant) -> dict[str, dict[str, str]]:
    """The headers of a key of the owner's that lacks one scope, by that scope."""
    return {
        scope: {"X-API-Key": await factories.make_key(database, owner.organization, *(set(ALL_SCOPES) - {scope}))}
        for scope in ALL_SCOPES
    }


async def ask(
    client: httpx.AsyncClient, route: str, ids: Mapping[str, str], headers: Mapping[str, str]
) -> httpx.Response:
    method, path = route.split(" ")
    return await client.request(method, path.format(**ids), json=body_of(method, path), headers=headers)


def test_every_route_has_a_row() -> None:
    assert routes_of_the_application() == set(ROWS)


@pytest.mark.parametrize("route", KEYED)
async def test_nothing_without_a_key(anyone: httpx.AsyncClient, owner: Tenant, route: str) -> None:
    assert (await ask(anyone, route, owner.ids, {})).status_code == 401


@pytest.mark.parametrize(("route", "row"), [(route, row) for route, row in KEYED.items() if row.scope])
async def test_nothing_without_the_scope(
    anyone: httpx.AsyncClient, owner: Tenant, lesser: dict[str, dict[str, str]], route: str, row: Row
) -> None:
    assert row.scope is not None
    known, unknown = [await ask(anyone, route, ids, lesser[row.scope]) for ids in (owner.ids, UNKNOWN)]

    assert (known.status_code, known.text) == (403, unknown.text)


@pytest.mark.parametrize(("route", "row"), NAMED.items())
async def test_what_is_named_is_known_to_whom_it_belongs(
    anyone: httpx.AsyncClient, owner: Tenant, others: Others, route: str, row: Row
) -> None:
    own = await ask(anyone, route, owner.ids, others.owner.headers)
    by_colleague = await ask(anyone, route, owner.ids, others.colleague.headers)
    by_stranger = await ask(anyone, route, owner.ids, others.stranger.headers)
    unknown = await ask(anyone, route, UNKNOWN, others.stranger.headers)

    assert own.status_code in {200, 400}  # a content that is completed cannot be retried
    refused = 403 if row.whose is Whose.MANAGERS else 404
    assert by_colleague.status_code == (own.status_code if row.whose is Whose.ORGANIZATION else refused)
    assert by_stranger.status_code == unknown.status_code == 404
    assert _without(by_stranger.text, owner.ids) == _without(unknown.text, UNKNOWN)


@pytest.mark.parametrize(("route", "row"), LISTED.items())
async def test_what_is_listed_is_listed_for_whom_it_belongs_to(
    anyone: httpx.AsyncClient, owner: Tenant, others: Others, route: str, row: Row
) -> None:
    own, by_stranger = [
        (await ask(anyone, route, {}, who.headers)).raise_for_status().json() for who in (others.owner, others.stranger)
    ]
    by_colleague = (await ask(anyone, route, {}, others.colleague.headers)).json()

    assert by_stranger != own or route.endswith("/credits")
    assert not [text for text in owner.identifiers if text in json.dumps(by_stranger)]
    if row.whose is Whose.ORGANIZATION:
        assert by_colleague == own
    else:
        assert not [text for text in owner.identifiers if text in json.dumps(by_colleague)]


@pytest.mark.parametrize("route", KEYED)
async def test_no_id_counts_what_others_have(
    anyone: httpx.AsyncClient, owner: Tenant, others: Others, route: str
) -> None:
    """Such as a number of rows of all organizations: by two of them anybody would see how busy the server is."""
    response = await ask(anyone, route, owner.ids, others.owner.headers)

    # The other one is the bytes of a file, whose id is in a header.
    body = response.json() if response.headers["content-type"] == "application/json" else {}
    ids = [value for name, value in named_values(body) if name == "id" or name.endswith("_id")]
    assert not [value for value in ids if value is not None and re.fullmatch(r"\D{0,8}\d{1,15}", str(value))]
    assert not [
        name for name in response.headers if name.endswith(("-id", "-number")) and response.headers[name].isdigit()
    ]


def named_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name of an object in a JSON value, with what it names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from named_values(inner)
    for inner in value if isinstance(value, list) else ():
        yield from named_values(inner)


async def test_an_idempotency_key_is_of_one_user_and_of_one_route(
    anyone: httpx.AsyncClient, owner: Tenant, others: Others
) -> None:
    agent = f"{BASE}/agents/{owner.ids['agent_id']}/completions"

    async def once(path: str, who: Organization) -> tuple[str, bool]:
        headers = {**who.headers, "Idempotency-Key": "the-same-everywhere"}
        response = (await anyone.post(path, json=HELLO, headers=headers)).raise_for_status()
        return response.json()["session_id"], "Idempotent-Replayed" in response.headers

    asked = [(CHAT, others.owner), (CHAT, others.colleague), (CHAT, others.stranger), (agent, others.owner)]
    first, again = [[await once(path, who) for path, who in asked] for _ in range(2)]

    assert [is_replayed for _, is_replayed in first] == [False] * 4
    assert again == [(session, True) for session, _ in first]
    assert len({session for session, _ in first}) == 4


async def test_a_session_of_a_colleague_is_unknown_in_a_body(
    anyone: httpx.AsyncClient, owner: Tenant, others: Others
) -> None:
    asked = HELLO | {"session_id": owner.ids["session_id"]}

    response = await anyone.post(CHAT, json=asked, headers=others.colleague.headers)

    assert (response.status_code, response.json()["error"]["code"]) == (404, "session_not_found")


async def test_a_file_is_shown_only_under_its_own_name_to_who_has_its_token(
    anyone: httpx.AsyncClient, owner: Tenant
) -> None:
    url = await url_of_file(anyone, owner)
    origin, token, name = url.rsplit("/", 2)

    known = await anyone.get(url)
    guessed = [
        await anyone.get(f"{origin}/{wrong}")
        for wrong in (
            f"{token}/x{name}",
            f"{token[:-1]}/{name}",
            f"{token[::-1]}/{name}",
            f"{token}/",
            f"{name}/{token}",
        )
    ]

    assert known.status_code == 200
    assert [response.status_code for response in guessed] == [404] * 5
    assert len({response.text for response in guessed}) == 1


async def test_a_webhook_without_a_signature_cannot_learn_which_contents_exist(
    anyone: httpx.AsyncClient, owner: Tenant
) -> None:
    path = next(route for route in ROWS if route.startswith("POST /webhooks/")).removeprefix("POST ")
    ids = [owner.ids["content_id"], str(uuid.uuid4())]

    known, unknown = [
        await anyone.post(path.format(generation_id=name, attempt=0, nonce="x"), json={"id": "p"}) for name in ids
    ]

    assert (known.status_code, known.text) == (unknown.status_code, unknown.text) == (401, known.text)


async def test_an_agent_of_another_organization_cannot_be_put_below_ones_own(
    database: Database, owner: Tenant, stranger: Tenant
) -> None:
    theirs = owner.ids["model_id"].removeprefix("agent/")

    with pytest.raises(AgentFileError, match=theirs):
        await import_agents(database, stranger.organization, f'[[agents]]\nname = "spy"\nsub_agents = ["{theirs}"]\n')


async def test_a_link_to_an_agent_of_another_organization_leads_nowhere(
    anyone: httpx.AsyncClient, database: Database, owner: Tenant, others: Others
) -> None:
    await import_agents(database, others.stranger, '[[agents]]\nname = "linked"\n')
    listed = (await anyone.get(f"{BASE}/agents", headers=others.stranger.headers)).json()["agents"]
    (linked,) = [agent["id"] for agent in listed if agent["name"] == "linked"]
    async with database.transaction() as tx:
        values = (linked, owner.ids["agent_id"])
        await tx.execute("INSERT INTO sub_agents (agent_id, position, sub_agent_id) VALUES ($1, 0, $2)", *values)

    shown = await anyone.get(f"{BASE}/agents", headers=others.stranger.headers)
    asked = await anyone.post(f"{BASE}/agents/{linked}/completions", json=HELLO, headers=others.stranger.headers)

    assert owner.ids["agent_id"] not in shown.text
    assert asked.status_code in {200, 404}, asked.text
    assert owner.ids["model_id"].removeprefix("agent/") not in asked.text


def _without(text: str, ids: Mapping[str, str]) -> str:
    """The text without the ids that were in the request."""
    for name, value in ids.items():
        text = text.replace(value, f"{{{name}}}").replace(value.removeprefix("agent/"), f"{{{name}}}")
    return text
