"""Images that are changed: as forms and as JSON, by the simulator, which really reads what it is given."""

import asyncio
import base64
import secrets
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.chat.books import books_of
from tests.chat.turns.rows import let_leases_run_out
from tests.conftest import Stack
from tests.factories import Organization
from tests.images.drawn import BLUE, RED, claims_size, is_near, noise, picture, seen
from tests.max_credits import WAYS, limited
from tests.programs import api_process, running_apis
from tests.waiting import until

PATH = "/v1/images/edits"
File = tuple[str, tuple[str, bytes, str]]


def file(data: bytes, name: str = "image", filename: str = "a.png", media_type: str = "image/png") -> File:
    return name, (filename, data, media_type)


async def edit(
    http: httpx.AsyncClient, organization: Organization, *files: File, key: str | None = None, **fields: str
) -> httpx.Response:
    headers = organization.headers | ({"Idempotency-Key": key} if key else {})
    given = files or (file(picture()),)
    return await http.post(PATH, data={"prompt": "At night", **fields}, files=list(given), headers=headers)


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


async def edit_json(http: httpx.AsyncClient, organization: Organization, *urls: str, **body: Any) -> httpx.Response:
    images = [{"image_url": url} for url in urls]
    return await http.post(PATH, json={"prompt": "At night", "images": images, **body}, headers=organization.headers)


async def files_of(database: Database, organization: Organization) -> int:
    async with database.transaction() as tx:
        query = "SELECT count(*) FROM input_files WHERE organization_id = $1"
        count: int = await tx.fetchval(query, organization.id)
    return count


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_form_changes_an_image(
    http: httpx.AsyncClient, database: Database, organization: Organization, kind: str
) -> None:
    response = await edit(http, organization, file(picture(kind=kind), filename="x", media_type="text/plain"), n="2")

    made = response.raise_for_status().json()
    assert [seen(each["b64_json"])[0] for each in made["data"]] == [(96, 64)] * 2
    assert all(is_near(seen(each["b64_json"])[1], RED) for each in made["data"])
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.004")] * 2, ["settled"] * 2)
    assert await files_of(database, organization) == 1


@pytest.mark.parametrize("by", ["form", *WAYS])
async def test_it_costs_no_more_than_the_request_may(http: httpx.AsyncClient, database: Database, by: str) -> None:
    organization = await factories.make_organization(database)

    async def ask(most: str) -> httpx.Response:
        if by == "form":
            return await edit(http, organization, n="2", max_credits=most)
        limit, headers = limited(organization, most, by)
        body = {"prompt": "At night", "images": [{"image_url": data_url(picture())}], "n": 2, **limit}
        return await http.post(PATH, json=body, headers=headers)

    refused, served = await ask("0.031999"), await ask("0.032")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_credits_reached")
    assert served.status_code == 200
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.004")] * 2, ["settled"] * 2)


async def test_json_changes_images_too(http: httpx.AsyncClient, organization: Organization) -> None:
    stored = (await edit(http, organization)).raise_for_status().json()["data"][0]["url"]

    made = (await edit_json(http, organization, stored, data_url(picture(BLUE)), size="128x128")).raise_for_status()

    size, colour = seen(made.json()["data"][0]["b64_json"])
    assert size == (128, 128)
    # The other one is drawn over its corner.
    assert is_near(colour, RED)


async def test_a_mask_says_where(http: httpx.AsyncClient, organization: Organization) -> None:
    clear, opaque = picture((0, 0, 0, 0)), picture((0, 0, 0, 255))

    seen_through, kept = [
        (await edit(http, organization, file(picture()), file(mask, "mask"))).raise_for_status().json()
        for mask in (clear, opaque)
    ]

    assert is_near(seen(kept["data"][0]["b64_json"])[1], RED)
    assert not is_near(seen(seen_through["data"][0]["b64_json"])[1], RED)


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def field(name: str, content: bytes, more: str = "") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content


_PROMPT = field("prompt", b"At night")
_IMAGE = field("image", picture(), '; filename="a.png"')


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(_PROMPT), "image"),
        (form(_IMAGE), "prompt"),
        (form(_PROMPT, field("image", picture())), "image"),
        (form(_PROMPT, field("image", b"", '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", b"Hello, this is a text", '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", picture(kind="GIF"), '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", b"\x89PNG\r\n\x1a\n%PDF-1.7", '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", claims_size(100_000, 100_000), '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", claims_size(16_000, 16_000), '; filename="a.png"')), "image"),
        (form(_PROMPT, field("image", claims_size(0, 1), '; filename="a.png"')), "image"),
        (form(_PROMPT, *[_IMAGE] * 17), "images"),
        (form(_PROMPT, *[_IMAGE] * 5), "image"),
        (form(_PROMPT, _PROMPT, _IMAGE), "prompt"),
        (form(field("prompt", b"a\0b"), _IMAGE), "prompt"),
        (form(field("prompt", b"\xff\xfe"), _IMAGE), "prompt"),
        (form(field("prompt", b"a", '; filename="a.txt"'), _IMAGE), "prompt"),
        (form(_PROMPT, _IMAGE, field("n", b"many")), "n"),
        (form(_PROMPT, _IMAGE, field("n", b"11")), "n"),
        (form(_PROMPT, _IMAGE, field("stream", b"perhaps")), "stream"),
        (form(_PROMPT, _IMAGE, field("quality", b"high")), "quality"),
        (form(_PROMPT, _IMAGE, field("style", b"vivid")), "style"),
        (form(_PROMPT, _IMAGE, field("model", b"simulator/image")), "model"),
        (form(_PROMPT, _IMAGE, _IMAGE, field("model", b"simulator/edit--fail")), "image"),
        (
            form(_PROMPT, _IMAGE, field("mask", picture(), '; filename="m"'), field("model", b"simulator/edit--fail")),
            "mask",
        ),
        (form(_PROMPT, _IMAGE, field("mask", b"no", '; filename="m"')), "mask"),
        (form(*[_PROMPT] * 1000), None),
        (form(_PROMPT, _IMAGE, end=b""), None),
        (form(b"no headers"), None),
        (form(b"Content-Disposition: form-data\r\n\r\nno name"), None),
        (form(b"X: " + b"a" * 20_000 + b"\r\n\r\nlong"), None),
        (b"--other\r\n" + _PROMPT + b"\r\n--other--\r\n", None),
        (b"", None),
    ],
)
async def test_hostile_forms_are_refused_in_words(
    http: httpx.AsyncClient, database: Database, organization: Organization, body: bytes, param: str | None
) -> None:
    headers = organization.headers | {"Content-Type": "multipart/form-data; boundary=x"}
    response = await http.post(PATH, content=body, headers=headers)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("param")) == (400, "invalid_request", param), error
    assert error["message"]
    assert (await books_of(database, organization)).holds == []
    assert await files_of(database, organization) == 0


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"])
async def test_a_form_needs_a_boundary(http: httpx.AsyncClient, organization: Organization, content_type: str) -> None:
    headers = organization.headers | {"Content-Type": content_type}
    response = await http.post(PATH, content=form(_PROMPT, _IMAGE), headers=headers)

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"images": []}, "images"),
        ({"images": [{"image_url": "file:///etc/passwd"}]}, "images.0.image_url"),
        ({"images": [{"image_url": "https://"}]}, "images.0.image_url"),
        ({"images": [{"image_url": "https://a b"}]}, "images.0.image_url"),
        ({"images": [{"image_url": "junis-input:x"}]}, "images.0.image_url"),
        ({"images": [{"image_url": "data:image/png;base64,???"}]}, "images.0.image_url"),
        ({"images": [{"image_url": "data:image/png;base64,aGVsbG8="}]}, "images.0.image_url"),
        ({"images": [{"file_id": "file-1"}]}, "images.0.image_url"),
        ({"images": "x"}, "images"),
        ({"mask": {"image_url": "data:image/png;base64,aGVsbG8="}}, "mask"),
    ],
)
async def test_json_that_names_no_image_is_refused(
    http: httpx.AsyncClient, organization: Organization, body: dict[str, Any], param: str
) -> None:
    response = await edit_json(http, organization, data_url(picture()), **body)

    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error


async def test_a_polyglot_is_what_its_beginning_is(http: httpx.AsyncClient, organization: Organization) -> None:
    both = picture() + b"<script>alert(1)</script>%PDF-1.7"

    made = (await edit(http, organization, file(both, media_type="text/html"))).raise_for_status().json()

    assert is_near(seen(made["data"][0]["b64_json"])[1], RED)


async def test_a_form_that_is_too_large_is_refused(http: httpx.AsyncClient, organization: Organization) -> None:
    response = await edit(http, organization, file(picture() + bytes(10 * 1024 * 1024)))

    assert (response.status_code, response.json()["error"]["code"]) == (413, "payload_too_large")


async def test_other_routes_read_no_forms(http: httpx.AsyncClient, organization: Organization) -> None:
    files = [file(picture())]
    response = await http.post(
        "/v1/images/generations", data={"prompt": "x"}, files=files, headers=organization.headers
    )

    assert response.status_code == 415


async def test_a_retry_has_its_images_still(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    await edit(http, organization, model="simulator/edit--fail-1")
    async with database.transaction() as tx:
        query = "SELECT id, status FROM generations WHERE organization_id = $1"
        row = await tx.fetchrow(query, organization.id)
    assert row is not None
    assert row["status"] == "failed"
    retried = await http.post(f"/content/{row['id']}/retry", headers=organization.headers)
    retried.raise_for_status()

    async def ended() -> bool:
        content = (await http.get(f"/content/{row['id']}", headers=organization.headers)).json()
        assert content["status"] != "failed", content
        return bool(content["status"] == "completed")

    await until(ended)
    content = (await http.get(f"/content/{row['id']}", headers=organization.headers)).json()
    stored = (await http.get(content["storage_url"])).raise_for_status().content
    assert is_near(seen(base64.b64encode(stored).decode())[1], RED)
    assert (await books_of(database, organization)).charges == [Decimal("0.004")]


async def test_a_repeated_form_has_the_same_images(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    # Each has a boundary of its own.
    first, second = [await edit(http, organization, key="one") for _ in range(2)]
    other = await edit(http, organization, file(picture(BLUE)), key="one")

    assert first.json()["data"] == second.json()["data"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert len((await books_of(database, organization)).charges) == 1


async def test_what_a_killed_request_has_asked_for_is_taken_over(
    stack: Stack, http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    api = api_process(stack.environment, stack.folder / f"edits-{secrets.token_hex(4)}.log")
    async with running_apis(api), open_http(api.url) as doomed:
        asking = asyncio.create_task(edit(doomed, organization, key="killed", n="2"))

        async def is_asked() -> bool:
            return len((await books_of(database, organization)).holds) == 2

        await until(is_asked)
        api.kill()
        await asyncio.gather(asking, return_exceptions=True)
    await let_leases_run_out(database, organization)

    made = (await edit(http, organization, key="killed", n="2")).raise_for_status().json()

    assert len(made["data"]) == 2
    assert (await books_of(database, organization)).charges == [Decimal("0.004")] * 2
    assert await files_of(database, organization) == 1


async def test_images_of_a_client_that_hung_up_are_made_and_charged_once(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    for stream in ("false", "true"):
        with pytest.raises(httpx.ReadTimeout):
            await http.post(
                PATH,
                data={"prompt": "At night", "model": "simulator/edit--slow-6", "stream": stream},
                files=[file(picture())],
                headers=organization.headers,
                timeout=1,
            )

    async def is_charged() -> bool:
        return len((await books_of(database, organization)).charges) == 2

    await until(is_charged)
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.004")] * 2, ["settled"] * 2)


@pytest.mark.parametrize("model", ["simulator/edit--slow-6", "simulator/edit--slow-6--fail"])
async def test_a_stream_is_kept_alive_while_the_images_are_made(
    http: httpx.AsyncClient, organization: Organization, model: str
) -> None:
    fields = {"prompt": "At night", "model": model, "stream": "true"}
    async with http.stream(
        "POST", PATH, data=fields, files=[file(picture())], headers=organization.headers
    ) as response:
        lines = [line async for line in response.aiter_lines()]

    assert (response.status_code, lines[0]) == (200, ": keep-alive")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = [line for line in lines if line.startswith("event: ")]
    if model.endswith("fail"):
        assert events == ["event: error"]
        assert '"code":"generation_failed"' in lines[-2]
    else:
        assert events == ["event: image_edit.completed"]


async def test_images_that_fail_before_a_stream_begins_fail_by_status(
    http: httpx.AsyncClient, organization: Organization
) -> None:
    response = await edit(http, organization, model="simulator/edit--fail", stream="true")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "generation_failed")


async def test_another_organizations_files_are_not_delivered(
    stack: Stack, http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    await edit(http, organization)
    async with database.transaction() as tx:
        query = "SELECT id, sha256 FROM input_files WHERE organization_id = $1"
        row = await tx.fetchrow(query, organization.id)
    assert row is not None
    url = f"{stack.url}/files/inputs/{row['id']}/{row['sha256']}.png"
    async with httpx.AsyncClient() as vendor:
        found, missing = [await vendor.get(each) for each in (url, url.replace(str(row["id"]), secrets.token_hex(16)))]
        unknown = await vendor.get(url.replace(str(row["id"]), "x"))

    assert (found.content, found.headers["content-type"]) == (picture(), "image/png")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert (missing.status_code, unknown.status_code) == (404, 404)


async def test_the_key_needs_its_scope(http: httpx.AsyncClient, database: Database, organization: Organization) -> None:
    key = await factories.make_key(database, organization)
    response = await http.post(PATH, data={"prompt": "x"}, files=[file(picture())], headers={"X-API-Key": key})

    assert (response.status_code, response.json()["error"]["code"]) == (403, "scope_not_allowed")


async def test_all_are_held_for_or_none(http: httpx.AsyncClient, database: Database) -> None:
    poor = await factories.make_organization(database, credit="0.03")

    refused = await edit(http, poor, n="2")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert await files_of(database, poor) == 0


async def test_large_images_are_changed(http: httpx.AsyncClient, organization: Organization) -> None:
    large = noise(1700)
    assert 8_000_000 < len(large) < 10_000_000

    made = (await edit(http, organization, file(large), size="96x64")).raise_for_status().json()

    assert seen(made["data"][0]["b64_json"])[0] == (96, 64)


@pytest.mark.usefixtures("http")
async def test_openais_client_changes_images(stack: Stack, organization: Organization) -> None:
    one, two = ("one.png", picture()), ("two.webp", picture(BLUE, kind="WEBP"))
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key) as client:
        single = await client.images.edit(image=one, prompt="At night", n=2, size="1024x1024")
        several = await client.images.edit(
            image=[one, two], mask=("m.png", picture((0, 0, 0, 255))), prompt="At night", response_format="url"
        )
        stream = await client.images.edit(image=one, prompt="At night", stream=True)
        events = [event async for event in stream]

    assert [seen(each.b64_json)[0] for each in single.data or []] == [(1024, 1024)] * 2
    assert [(each.b64_json, bool(each.url)) for each in several.data or []] == [(None, True)]
    assert [(event.type, seen(event.b64_json)[0]) for event in events] == [("image_edit.completed", (96, 64))]


@pytest.mark.usefixtures("http")
async def test_openais_synchronous_client_changes_images(stack: Stack, organization: Organization) -> None:
    def run() -> str | None:
        with openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key) as client:
            made = client.images.edit(image=picture(), prompt="At night")
        return (made.data or [])[0].b64_json

    assert is_near(seen(await asyncio.to_thread(run))[1], RED)
