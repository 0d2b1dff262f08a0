"""The catalog as operators see and change it: prices with the moment from which they hold."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from app.admin.catalog import views
from app.admin.catalog.checks import Surroundings, troubles_of
from app.admin.catalog.queries import ShownModel, ShownPrice, Use, list_unpriced
from app.catalog import service as catalog
from app.catalog.pricing import UnitPrices
from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser
from tests.audit.rows import rows_of
from tests.factories import Organization

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PRICE = ShownPrice(UnitPrices(per_output=Decimal("0.04")), Decimal(1), NOW - timedelta(days=30))
MODEL = ShownModel("acme/lamp", "generation", "", True, None, None, None, None, NOW, PRICE, None)
AROUND = Surroundings("gpt", frozenset({"near"}), {}, {}, NOW)
CHAT = replace(MODEL, name="gpt", kind="chat")


@pytest.fixture
async def model(operator_browser: Browser) -> str:
    """The name of a new generation model, of which a file costs 0.04."""
    name = f"acme/{secrets.token_hex(5)}"
    added = await operator_browser.submit(
        "/catalog/new", name=name, kind="generation", per_output="0.04", ceiling="0.16", per_call=""
    )
    assert added.status_code == 303
    return name


async def price_now(database: Database, name: str) -> Decimal:
    async with database.transaction() as tx:
        return (await catalog.get_generation_model(tx, name)).price.per_output


async def shift(database: Database, name: str, by: timedelta) -> None:
    """Let the model's prices hold from another moment, as if time had passed."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE prices SET effective_at = effective_at + $2 WHERE model_name = $1", name, by)


def later(**passed: int) -> str:
    return f"{datetime.now(UTC) + timedelta(**passed):%Y-%m-%dT%H:%M}"


async def test_a_price_is_in_force_from_its_date(operator_browser: Browser, database: Database, model: str) -> None:
    added = await operator_browser.submit(
        f"/catalog/{model}", act="price", per_output="0.0425", ceiling="0.2", effective_at=later(days=3)
    )

    assert added.status_code == 303
    assert await price_now(database, model) == Decimal("0.04")
    page = (await operator_browser.get(f"/catalog/{model}")).text
    assert "Next</span>" in page
    assert "In force" in page
    await shift(database, model, timedelta(days=-4))
    assert await price_now(database, model) == Decimal("0.0425")
    row = (await rows_of(database, model))[-1]
    assert (row.event, row.actor) == ("price_added", ("user", operator_browser.user_id))
    assert Decimal((row.before or {})["per_output"]) == Decimal("0.04")
    assert Decimal((row.after or {})["per_output"]) == Decimal("0.0425")


async def test_what_is_accepted_after_the_date_is_settled_at_the_new_price(
    operator_browser: Browser, database: Database, organization: Organization, client: httpx.AsyncClient
) -> None:
    """A chat of the orchestrator, by the ledger: the model call of each turn costs what its price said then."""
    agents = (
        f'[[agents]]\nname = "main"\nmodel = "{(name := f"priced-{secrets.token_hex(5)}")}"\nis_orchestrator = true\n'
    )
    await operator_browser.submit("/catalog/new", name=name, kind="chat", per_call="0.25")
    made = await factories.make_organization(database, agents=agents)

    async def charge() -> Decimal:
        before = (await factories.balance_of(database, made)).balance
        asked = {"messages": [{"role": "user", "content": "hello"}]}
        answer = await client.post("/v1/chat/completions", json=asked, headers=made.headers)
        assert answer.status_code == 200, answer.text
        return before - (await factories.balance_of(database, made)).balance

    first = await charge()
    added = await operator_browser.submit(f"/catalog/{name}", act="price", per_call="0.75", effective_at=later(hours=1))
    second = await charge()
    await shift(database, name, timedelta(hours=-2))
    third = await charge()

    assert added.status_code == 303
    assert (first, second, third) == (Decimal("0.25"), Decimal("0.25"), Decimal("0.75"))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("effective_at", "2026-01-01T00:00", "That is past, and calls were charged since."),
        ("effective_at", "soon", "Enter a day and a time"),
        ("per_output", "-1", "Enter a number from 0"),
        ("per_output", "", "Say what it costs."),
        ("ceiling", "", "Enter a number from 0"),
        ("per_output", "0.04", "That is the price already."),
        ("act", "burn", "Choose one of"),
    ],
)
async def test_a_refused_price_keeps_what_was_typed_and_adds_nothing(
    operator_browser: Browser, database: Database, model: str, field: str, value: str, sentence: str
) -> None:
    form = {"act": "price", "per_output": "0.05", "ceiling": "0.16", "effective_at": "", field: value}

    refused = await operator_browser.submit(f"/catalog/{model}", **form)

    assert refused.status_code == 422
    assert sentence in refused.text
    assert f'name="per_output" type="text" value="{form["per_output"]}"' in refused.text
    assert await price_now(database, model) == Decimal("0.04")
    assert [row.event for row in await rows_of(database, model)] == ["model_imported"]


async def test_a_price_can_be_tried_at_last_months_use(
    operator_browser: Browser, database: Database, organization: Organization, model: str
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO spend_days (organization_id, day, api_key_id, user_id, agent, model, amount, charges, calls,"
            " prompt_tokens, completion_tokens, predict_time, outputs)"
            " VALUES ($1, current_date, '', '', '', $2, 40, 1000, 1000, 0, 0, 0, 1004)",
            organization.id,
            model,
        )
    form = {"per_output": "0.0425", "ceiling": "0.16", "effective_at": ""}

    tried = await operator_browser.submit(f"/catalog/{model}", act="try", **form)
    added = await operator_browser.submit(f"/catalog/{model}", act="price", **form)
    page = await operator_browser.get(added.headers["location"].removeprefix("/admin"))

    assert "+2.51<i>0000</i>" in tried.text
    assert "Nothing is added yet" in tried.text
    assert "At the use of the last 30 days it makes +2.510000 credits." in page.text


async def test_a_model_is_switched_off_and_on(operator_browser: Browser, database: Database, model: str) -> None:
    asked = await operator_browser.get(f"/catalog/{model}", params={"act": "off"})
    refused = await operator_browser.submit(f"/catalog/{model}", act="off", confirm="acme")
    still = (await operator_browser.get("/catalog", params={"q": model})).text
    await operator_browser.submit(f"/catalog/{model}", act="off", confirm=model)
    off = (await operator_browser.get("/catalog", params={"q": model})).text
    await operator_browser.submit(f"/catalog/{model}", act="on")

    assert f"Type <code>{model}</code> to go on" in asked.text
    assert (refused.status_code, "Nothing was switched off." in refused.text) == (422, True)
    assert [f"{model}</a><small>Generation, switched off" in each for each in (still, off)] == [False, True]
    events = [row.event for row in await rows_of(database, model)]
    assert events == ["model_imported", "model_switched_off", "model_switched_on"]
    assert await price_now(database, model) == Decimal("0.04")


async def test_unpriced_models_are_named_first(operator_browser: Browser, database: Database) -> None:
    name = f"acme/{secrets.token_hex(5)}"
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO models (name, kind, description, is_active) VALUES ($1, 'generation', '', true)", name
        )

    async with database.transaction() as tx:
        assert name in await list_unpriced(tx)
    page = (await operator_browser.get("/catalog")).text.partition("<main")[2]
    assert f"<strong>{name}</strong> has no price." in page
    # Above the list other tests' models may be named, too.
    listed = page.partition("<table")[2]
    assert listed.index(f'href="/admin/catalog/{name}">{name}') < listed.index(">simulator/image<")
    async with database.transaction() as tx:
        await tx.execute("UPDATE models SET is_active = false WHERE name = $1", name)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "sim-chat"}, "The catalog has this model already."),
        ({"name": "new"}, "The console uses this name itself."),
        ({"name": ""}, "Enter name."),
        ({"kind": "poem"}, "Choose one of"),
        ({"kind": "generation"}, "Enter a number from 0"),
        ({}, "Say what it costs."),
        ({"per_call": "1", "context_tokens": "many"}, "Enter a whole number"),
    ],
)
async def test_a_refused_model_keeps_what_was_typed(
    operator_browser: Browser, fields: dict[str, str], sentence: str
) -> None:
    form = {"name": f"new-{secrets.token_hex(4)}", "kind": "chat", "max_output_tokens": "77", **fields}

    refused = await operator_browser.submit("/catalog/new", **form)

    assert refused.status_code == 422
    assert sentence in refused.text
    assert 'value="77"' in refused.text


async def test_a_catalog_is_exported_and_imported_whole_or_not_at_all(
    operator_browser: Browser, database: Database, model: str
) -> None:
    exported = (await operator_browser.get("/catalog/export.toml")).text
    part = f'[[models]]\nname = "{model}"\nkind = "generation"\n[models.price]\nper_output = 0.07\nceiling = 1\n'
    broken = part + part.replace("0.07", "0.08")

    refused = await operator_browser.submit("/catalog/import", file=broken)
    unchanged = await price_now(database, model)
    imported = await operator_browser.submit("/catalog/import", file=part)

    assert model in exported
    assert refused.status_code == 422
    assert "another price is effective from" in refused.text
    assert "per_output = 0.08" in refused.text
    assert unchanged == Decimal("0.04")
    assert imported.status_code == 303
    assert await price_now(database, model) == Decimal("0.07")


async def test_an_unknown_model_has_no_page(operator_browser: Browser) -> None:
    assert (await operator_browser.get("/catalog/acme/nothing")).status_code == 404
    assert (await operator_browser.submit("/catalog/acme/nothing", act="off")).status_code == 404


@pytest.mark.parametrize(
    ("models", "around", "sentences"),
    [
        ([CHAT, MODEL], AROUND, []),
        ([CHAT, replace(MODEL, current=None)], AROUND, ["acme/lamp has no price"]),
        ([CHAT, replace(MODEL, current=None, is_active=False)], AROUND, []),
        ([MODEL], AROUND, ["gpt is not in the catalog, but LLM_MODEL names it"]),
        ([replace(CHAT, is_active=False)], AROUND, ["gpt is switched off, but LLM_MODEL names it"]),
        ([CHAT], replace(AROUND, references={"old": 2}), ["old is not in the catalog, but 2 agents name it"]),
        ([replace(CHAT, upstream="far")], AROUND, ["gpt runs at far"]),
        ([replace(CHAT, upstream="near")], AROUND, []),
        ([CHAT, MODEL], replace(AROUND, failures={"acme/lamp": 6}), ["acme/lamp has failed 6 times"]),
        (
            [CHAT, replace(MODEL, current=replace(PRICE, effective_at=NOW - timedelta(days=400)))],
            AROUND,
            ["acme/lamp has had its price for over a year"],
        ),
    ],
    ids=range(10),
)
def test_what_is_wrong_with_the_catalog_is_said(
    models: list[ShownModel], around: Surroundings, sentences: list[str]
) -> None:
    found = [f"{trouble.model} {trouble.sentence}" for trouble in troubles_of(models, around)]

    assert len(found) == len(sentences)
    assert all(text.startswith(start) for text, start in zip(found, sentences, strict=True))


def test_the_difference_of_two_prices_counts_every_unit() -> None:
    use = Use(calls=10, predict_time=Decimal("2.5"), outputs=4, prompt_tokens=2_000_000, completion_tokens=500_000)
    one = Decimal(1)
    after = UnitPrices(per_call=one, per_second=one, per_output=one, per_million_prompt_tokens=one)

    assert views.difference(None, after, use) == Decimal("18.5")
    assert views.difference(after, UnitPrices(), use) == Decimal("-18.5")
    assert views.difference(after, after, use) == 0
