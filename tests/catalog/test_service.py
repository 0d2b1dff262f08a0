import secrets
from datetime import timedelta
from decimal import Decimal

import pytest

from app.catalog import service as catalog
from app.catalog.errors import ModelNotPricedError, UnknownModelError
from app.catalog.pricing import PRICE_UNITS
from app.core.clock import now
from app.core.database import Database
from tests import factories

VERSION = "0" * 63 + "1"


@pytest.fixture
def name() -> str:
    """The name of a model for which no other test sets a price."""
    return f"owner/{secrets.token_hex(6)}"


def generation(name: str, price: str, *, is_active: bool = True) -> str:
    active = str(is_active).lower()
    return f'[[models]]\nname = "{name}"\nkind = "generation"\nis_active = {active}\nprice = {{ {price} }}\n'


async def per_call(database: Database, reference: str) -> Decimal:
    async with database.transaction() as tx:
        return (await catalog.get_generation_model(tx, reference)).price.per_call


async def test_a_model_is_found_by_name_and_by_name_with_a_version(database: Database, name: str) -> None:
    await factories.import_catalog(database, generation(name, "per_call = 0.000001, ceiling = 1"))

    assert await per_call(database, name) == Decimal("0.000001")
    assert await per_call(database, f"{name}:{VERSION}") == Decimal("0.000001")


async def test_a_price_for_the_exact_version_takes_precedence(database: Database, name: str) -> None:
    await factories.import_catalog(database, generation(name, "per_call = 1, ceiling = 1"))
    await factories.import_catalog(database, generation(f"{name}:{VERSION}", "per_call = 2, ceiling = 2"))

    assert await per_call(database, f"{name}:{VERSION}") == 2
    assert await per_call(database, name) == 1


async def test_the_price_is_the_one_in_force_now(database: Database, name: str) -> None:
    past, future = (now() + timedelta(hours=hours) for hours in (-1, 1))
    for amount, moment in ((1, past), (2, future)):
        price = f"per_call = {amount}, ceiling = 9, effective_at = {moment.isoformat()}"
        await factories.import_catalog(database, generation(name, price))

    assert await per_call(database, name) == 1


async def test_work_is_settled_at_the_price_that_was_in_force_when_it_was_accepted(
    database: Database, name: str
) -> None:
    await factories.import_catalog(database, generation(name, "per_call = 1, ceiling = 1"))
    async with database.transaction() as tx:
        accepted = (await catalog.get_generation_model(tx, name)).price

    await factories.import_catalog(database, generation(name, "per_call = 2, ceiling = 2"))

    assert await per_call(database, name) == 2
    async with database.transaction() as tx:
        assert await catalog.get_price(tx, accepted.id) == accepted


async def test_a_model_whose_only_price_begins_later_has_no_price(database: Database, name: str) -> None:
    later = (now() + timedelta(hours=1)).isoformat()
    await factories.import_catalog(database, generation(name, f"per_call = 1, ceiling = 1, effective_at = {later}"))

    with pytest.raises(ModelNotPricedError, match=name):
        await per_call(database, name)


@pytest.mark.parametrize("is_active", [True, False])
async def test_only_an_active_model_is_offered(database: Database, name: str, is_active: bool) -> None:
    await factories.import_catalog(database, generation(name, "ceiling = 1", is_active=is_active))

    async with database.transaction() as tx:
        offered = [model.name for model in await catalog.list_generation_models(tx)]
    assert (name in offered) is is_active


async def test_a_new_price_does_not_activate_an_inactive_model(database: Database, name: str) -> None:
    await factories.import_catalog(database, generation(name, "ceiling = 1", is_active=False))
    unsaid = generation(name, "ceiling = 2").replace("is_active = true\n", "")

    await factories.import_catalog(database, unsaid)

    with pytest.raises(UnknownModelError):
        await per_call(database, name)
    await factories.import_catalog(database, generation(name, "ceiling = 2", is_active=True))
    assert await per_call(database, name) == 0


async def test_an_unpriced_or_inactive_model_is_unknown(database: Database, name: str) -> None:
    await factories.import_catalog(database, generation(name, "ceiling = 1", is_active=False))

    for reference in (name, f"{name}:{VERSION}", "owner/never", ""):
        with pytest.raises(UnknownModelError):
            await per_call(database, reference)


async def test_a_chat_model_is_not_a_generation_model_nor_the_reverse(database: Database) -> None:
    async with database.transaction() as tx:
        assert (await catalog.get_chat_model(tx, "sim-chat")).max_output_tokens == 1000
        with pytest.raises(UnknownModelError):
            await catalog.get_generation_model(tx, "sim-chat")
        with pytest.raises(ModelNotPricedError):
            await catalog.get_chat_model(tx, "simulator/image")


@pytest.mark.parametrize("unit", PRICE_UNITS)
async def test_prices_in_every_unit_are_read_back_as_imported(database: Database, name: str, unit: str) -> None:
    await factories.import_catalog(database, generation(name, f"{unit} = 0.25, ceiling = 1"))

    async with database.transaction() as tx:
        found = (await catalog.get_generation_model(tx, name)).price
        by_id = await catalog.get_price(tx, found.id)

    assert {one: getattr(found, one) for one in PRICE_UNITS} == {
        one: Decimal("0.25") * (one == unit) for one in PRICE_UNITS
    }
    assert by_id == found
