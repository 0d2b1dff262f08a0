"""How the vendor gets files: within its input if they are small, otherwise from this server."""

import uuid

import pytest

from app.core.database import Database
from app.input_files.delivery import InputDelivery
from app.input_files.file_names import data_url
from app.input_files.service import SentFiles
from tests import factories
from tests.core.sites import settings_of
from tests.factories import Organization

ONE, TWO = b"\x89PNG\r\n\x1a\n one", b"\x89PNG\r\n\x1a\n two!"
HOST = "https://junis.example.com"


async def send(database: Database, organization: Organization, request_key: bytes | None = None) -> SentFiles:
    async with database.transaction() as tx:
        files = [("image/png", ONE), ("image/png", TWO), ("image/png", ONE)]
        sent = await SentFiles.of(tx, organization.id, request_key, files)
        await sent.keep(tx, [uuid.uuid4()])
    return sent


async def test_small_files_are_within_the_input(database: Database, organization: Organization) -> None:
    sent = await send(database, organization)
    values = {"prompt": "x", "images": [*sent.names], "mask": sent.names[0]}

    delivered = await InputDelivery(database, HOST, len(ONE) + len(TWO)).deliver(organization.id, values)

    one, two = [data_url("image/png", each) for each in (ONE, TWO)]
    assert delivered == {"prompt": "x", "images": [one, two, one], "mask": one}


async def test_larger_ones_have_urls(database: Database, organization: Organization) -> None:
    sent = await send(database, organization)
    values = {"image": sent.names[1]}

    delivered = await InputDelivery(database, HOST, len(TWO) - 1).deliver(organization.id, values)

    assert delivered == {"image": sent.names[1].replace("junis-input:", f"{HOST}/files/inputs/")}


async def test_files_of_others_are_not_delivered(database: Database, organization: Organization) -> None:
    sent = await send(database, organization)
    stranger = await factories.make_organization(database)

    delivered = await InputDelivery(database, HOST, 1000).deliver(stranger.id, {"image": sent.names[0]})

    assert delivered["image"].startswith(f"{HOST}/files/inputs/")


async def test_a_repeated_request_names_the_same_files(database: Database, organization: Organization) -> None:
    key = uuid.uuid4().bytes
    first, second, other = [await send(database, organization, each) for each in (key, key, None)]

    assert first.names == second.names
    assert set(first.names).isdisjoint(other.names)


@pytest.mark.parametrize(
    ("url", "inline", "most"),
    [
        ("https://junis.example.com", "", 256 * 1024),
        ("http://localhost:8000", "", 10 * 1024 * 1024),
        ("http://localhost:8000", "5", 5),
        ("https://junis.example.com", "0", 0),
    ],
)
def test_how_much_is_within_the_input(
    database: Database, environment: dict[str, str], url: str, inline: str, most: int
) -> None:
    given = {"INPUT_INLINE_BYTES": inline} if inline else {}
    settings = settings_of({**environment, "PUBLIC_URL": url, **given})

    assert InputDelivery.of(database, settings).most_inline == most
