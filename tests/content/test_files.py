import asyncio
import hashlib
import os

import httpx
import pytest

from tests.conftest import Stack
from tests.content.gallery import Picture, generate
from tests.waiting import PATIENCE
from tests.worker.workbench import Workbench


async def test_a_file_is_served_whole_to_anyone_who_has_its_url(browser: httpx.AsyncClient, picture: Picture) -> None:
    response = await browser.get(picture.url)

    assert response.status_code == 200
    assert response.content == picture.delivered
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-length"] == str(len(picture.delivered))
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == f'"{hashlib.sha256(picture.delivered).hexdigest()}"'


async def test_a_file_is_sandboxed_in_a_browser(browser: httpx.AsyncClient, picture: Picture) -> None:
    response = await browser.get(picture.url)

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox"
    assert response.headers["content-disposition"] == f'inline; filename="{picture.name}"'


@pytest.mark.parametrize(
    ("model", "media_type"),
    [
        ("simulator/text", "text/plain"),
        ("simulator/json", "application/json"),
        ("simulator/other", "image/svg+xml"),
        ("simulator/image--delivery-wrong-type", "text/plain"),
    ],
)
async def test_a_file_that_could_run_as_a_page_is_sent_as_a_download(
    browser: httpx.AsyncClient, stack: Stack, workbench: Workbench, model: str, media_type: str
) -> None:
    made = await generate(workbench, stack.base_url, model)

    response = await browser.get(made.url)

    assert response.headers["content-type"].partition(";")[0] == media_type
    assert response.headers["content-disposition"] == f'attachment; filename="{made.name}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox"


async def test_head_has_the_headers_of_get(browser: httpx.AsyncClient, picture: Picture) -> None:
    asked, got = await browser.head(picture.url), await browser.get(picture.url)

    own = {"date", "x-request-id"}
    assert asked.status_code == 200
    assert asked.content == b""
    assert {name: value for name, value in asked.headers.items() if name not in own} == {
        name: value for name, value in got.headers.items() if name not in own
    }


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, -1),
        ("bytes=-10", -10, -1),
        ("bytes=5-999999999", 5, -1),
        ("bytes=0-0", 0, 0),
    ],
)
async def test_a_part_of_a_file_is_served(
    browser: httpx.AsyncClient, picture: Picture, wanted: str, first: int, last: int
) -> None:
    size = len(picture.delivered)
    first, last = first % size, last % size

    response = await browser.get(picture.url, headers={"Range": wanted})

    assert response.status_code == 206
    assert response.content == picture.delivered[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert response.headers["content-length"] == str(last - first + 1)


async def test_the_parts_make_up_the_whole(browser: httpx.AsyncClient, picture: Picture) -> None:
    size, step = len(picture.delivered), len(picture.delivered) // 7
    ranges = [f"bytes={start}-{start + step - 1}" for start in range(0, size, step)]

    parts = [(await browser.get(picture.url, headers={"Range": wanted})).content for wanted in ranges]

    assert b"".join(parts) == picture.delivered


@pytest.mark.parametrize("wanted", ["bytes={size}-", "bytes=999999999-", "bytes=-0"])
async def test_a_range_beyond_the_end_cannot_be_served(
    browser: httpx.AsyncClient, picture: Picture, wanted: str
) -> None:
    size = len(picture.delivered)

    response = await browser.get(picture.url, headers={"Range": wanted.format(size=size)})

    assert response.status_code == 416
    assert response.json()["error"]["code"] == "invalid_request"
    assert response.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize("wanted", ["bytes=9-1", "bytes=-", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "", "bytes=0"])
async def test_an_invalid_range_is_ignored(browser: httpx.AsyncClient, picture: Picture, wanted: str) -> None:
    response = await browser.get(picture.url, headers={"Range": wanted})

    assert response.status_code == 200
    assert response.content == picture.delivered


async def test_a_file_that_the_client_has_is_not_sent_again(browser: httpx.AsyncClient, picture: Picture) -> None:
    etag = (await browser.head(picture.url)).headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await browser.get(picture.url, headers={"If-None-Match": known})

        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert (await browser.get(picture.url, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_download_is_resumed_only_if_the_file_is_the_same(browser: httpx.AsyncClient, picture: Picture) -> None:
    etag = (await browser.head(picture.url)).headers["etag"]

    same = await browser.get(picture.url, headers={"Range": "bytes=3-", "If-Range": etag})
    other = await browser.get(picture.url, headers={"Range": "bytes=3-", "If-Range": '"other"'})

    assert (same.status_code, same.content) == (206, picture.delivered[3:])
    assert (other.status_code, other.content) == (200, picture.delivered)


async def test_a_file_is_found_only_by_its_whole_url(
    browser: httpx.AsyncClient, stack: Stack, picture: Picture
) -> None:
    token = picture.url.split("/")[-2]

    for path in (
        f"{token}/other.png",
        f"{token}/{picture.name}x",
        f"{token[:-1]}/{picture.name}",
        f"{'A' * 22}/{picture.name}",
        f"{token}/..%2F{picture.name}",
        f"{token}/%00",
        f"{token}/{picture.detail['storage_path']}",
    ):
        response = await browser.get(f"{stack.url}/files/{path}")

        assert response.status_code == 404
        assert response.json() == {"error": {"message": "Not found", "type": "not_found_error", "code": "not_found"}}


async def test_each_content_has_its_own_token_of_128_bits(stack: Stack, workbench: Workbench, picture: Picture) -> None:
    other = await generate(workbench, stack.base_url, "simulator/text")

    tokens = [made.url.split("/")[-2] for made in (picture, other)]
    assert tokens[0] != tokens[1]
    assert [len(token) for token in tokens] == [22, 22]


async def test_every_output_of_a_prediction_has_a_url(
    browser: httpx.AsyncClient, stack: Stack, workbench: Workbench
) -> None:
    made = await generate(workbench, stack.base_url, "simulator/image", num_outputs=3)

    urls = [made.url, *(output["storage_url"] for output in made.detail["additional_outputs"])]
    bodies = [(await browser.get(url)).raise_for_status().content for url in urls]
    assert bodies[0] == made.delivered
    assert len(set(bodies)) == 3


async def test_a_file_outlives_the_vendors_copy(
    browser: httpx.AsyncClient, workbench: Workbench, picture: Picture
) -> None:
    workbench.order_fault("delivery-404", nth=1)
    assert (await browser.get(picture.detail["output_url"])).status_code == 404

    response = await browser.get(picture.url)

    assert (response.status_code, response.content) == (200, picture.delivered)


async def test_a_file_that_the_store_has_lost_is_a_503(
    browser: httpx.AsyncClient, stack: Stack, workbench: Workbench
) -> None:
    lost = await generate(workbench, stack.base_url, "simulator/text")
    (stack.objects / lost.detail["storage_path"]).unlink()

    response, asked = await browser.get(lost.url), await browser.head(lost.url)

    assert (response.status_code, asked.status_code) == (503, 503)
    assert response.json()["error"]["code"] == "service_unavailable"
    assert "cache-control" not in response.headers


@pytest.mark.parametrize("kind", ["pipe", "link"])
async def test_what_is_no_file_in_the_store_is_not_found_and_stops_no_other_request(
    browser: httpx.AsyncClient, stack: Stack, workbench: Workbench, picture: Picture, kind: str
) -> None:
    odd = await generate(workbench, stack.base_url, "simulator/text")
    path = stack.objects / odd.detail["storage_path"]
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd")

    async with asyncio.timeout(PATIENCE):
        # As many as would fill the threads of the store.
        asked = [asyncio.ensure_future(browser.get(odd.url)) for _ in range(10)]
        other = await browser.get(picture.url)
        refused = await asyncio.gather(*asked)
        refused.append(await browser.head(odd.url))

    assert (other.status_code, other.content) == (200, picture.delivered)
    assert {response.status_code for response in refused} == {404}
    assert refused[0].json()["error"]["code"] == "not_found"


async def test_a_file_cannot_be_changed_or_listed(browser: httpx.AsyncClient, stack: Stack, picture: Picture) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        response = await browser.request(method, picture.url)

        assert response.status_code == 405
        assert response.json()["error"]["code"] == "method_not_allowed"
    assert (await browser.get(f"{stack.url}/files/")).status_code == 404
