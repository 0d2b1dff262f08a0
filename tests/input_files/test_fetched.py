"""Files that the vendor fetches from the server itself, in an installation whose worker puts none into its requests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories, programs
from tests.chat.asking import open_http
from tests.chat.books import books_of
from tests.faults.crash import Installation, installation
from tests.images.drawn import RED, is_near, picture, seen
from tests.programs import api_process, running_apis

PATH = "/v1/images/edits"
EDITOR = "simulator/edit"
_CATALOG = f"""
[[models]]
name = "{EDITOR}"
kind = "generation"
price = {{ per_output = 0.004, ceiling = 0.016 }}
edits = {{ images = "image_input" }}
"""
# The shortest: so soon after it is lost, a create call is looked for.
_LEASE = {"WORKER_LEASE_SECONDS": "5"}


@dataclass(frozen=True)
class Place:
    """An installation, and its API."""

    there: Installation
    http: httpx.AsyncClient
    log: Path

    @property
    def database(self) -> Database:
        return self.there.database

    def fetched(self) -> int:
        """How many requests for sent files the API has answered."""
        return self.log.read_text().count("/files/inputs/")


@pytest.fixture(scope="module")
async def place(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("fetched")
    async with (
        installation({**environment, **_LEASE}, folder) as there,
        running_apis(api_process(there.settings, folder / "api.log")) as (api,),
        open_http(api.url) as http,
    ):
        await factories.import_catalog(there.database, _CATALOG)
        settings = there.settings | {"INPUT_INLINE_BYTES": "0", "PUBLIC_URL": api.url}
        with programs.running_worker(settings, folder / "worker.log"):
            yield Place(there, http, folder / "api.log")


def created(place: Place, prompt: str) -> list[dict[str, Any]]:
    """The create calls of a prompt that reached the vendor."""
    calls = place.there.vendors.log("prediction")
    return [call for call in calls if call.get("input", {}).get("prompt") == prompt]


@pytest.mark.parametrize("fault", [None, "create-accept-then-drop", "create-accept-then-timeout"])
async def test_the_vendor_fetches_a_file_and_is_asked_once(place: Place, fault: str | None) -> None:
    organization = await factories.make_organization(place.database)
    prompt, before = f"At night, {fault}", place.fetched()
    if fault is not None:
        place.there.vendors.order_fault(EDITOR, fault)

    files = [("image", ("a.png", picture(), "image/png"))]
    response = await place.http.post(PATH, data={"prompt": prompt}, files=files, headers=organization.headers)

    (made,) = response.raise_for_status().json()["data"]
    size, colour = seen(made["b64_json"])
    assert (size, is_near(colour, RED)) == ((96, 64), True)
    assert place.fetched() == before + 1
    books = await books_of(place.database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.004")], ["settled"])
    assert len(created(place, prompt)) == 1
