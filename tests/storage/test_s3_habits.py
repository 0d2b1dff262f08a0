"""What real S3 servers do from time to time, and what some do always."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from app.storage.protocol import ObjectMissingError, ObjectStore, StoreError
from tests.storage.bytestreams import MB, noise, read, stored, write
from tests.storage.conftest import StoreOver
from tests.storage.faulty_s3 import FaultyS3, Reply

PATH = "generation/video/550e8400_20251206_103000.mp4"
LARGE = noise(9 * MB)
BUSY = [Reply(503, "SlowDown"), Reply(500, "InternalError")]
LOST = Reply(is_lost=True)
NO_UPLOAD = Reply(404, "NoSuchUpload")


@pytest.mark.parametrize("call", ["create", "part 1", "part 2", "complete"])
async def test_a_store_that_is_busy_is_asked_again(store_over: StoreOver, call: str) -> None:
    server = FaultyS3(replies={call: BUSY[:]})

    assert await write(store_over(server), PATH, LARGE) == stored(LARGE)

    assert sorted(server.calls) == sorted(["create", "part 1", "part 2", "complete", call, call])


async def test_a_store_that_stays_busy_is_a_store_error(store_over: StoreOver) -> None:
    server = FaultyS3(replies={"put": BUSY * 2})

    with pytest.raises(StoreError, match="SlowDown"):
        await write(store_over(server), PATH, b"content")

    assert server.calls == ["put"] * 3


@pytest.mark.parametrize("lost", [LOST, Reply(is_hasty=True)], ids=["after the request", "during the request"])
@pytest.mark.parametrize("call", ["put", "create", "part 1", "complete"])
async def test_a_connection_that_is_closed_is_opened_again(store_over: StoreOver, call: str, lost: Reply) -> None:
    content = b"content" if call == "put" else LARGE
    server = FaultyS3(replies={call: [lost]})

    assert await write(store_over(server), PATH, content) == stored(content)

    assert server.calls.count(call) == 2


async def test_a_completion_that_fails_after_its_status_is_repeated(store_over: StoreOver) -> None:
    """S3 sends status 200 before it puts the parts together. The body then says whether that failed."""
    server = FaultyS3(replies={"complete": [Reply(200, "InternalError")]})

    assert await write(store_over(server), PATH, LARGE) == stored(LARGE)

    assert server.calls[-2:] == ["complete", "complete"]


async def test_a_completion_that_always_fails_after_its_status_is_a_store_error(store_over: StoreOver) -> None:
    server = FaultyS3(replies={"complete": [Reply(200, "InternalError")] * 3})

    with pytest.raises(StoreError, match="InternalError"):
        await write(store_over(server), PATH, LARGE)

    assert server.calls[-1] == "abort"


async def test_if_the_response_to_a_completion_is_lost_the_object_itself_is_looked_at(store_over: StoreOver) -> None:
    """The upload is completed, so the store does not know it any more when it is asked again."""
    server = FaultyS3(content=LARGE, replies={"complete": [LOST, NO_UPLOAD]})

    assert await write(store_over(server), PATH, LARGE) == stored(LARGE)

    assert server.calls[-3:] == ["complete", "complete", "get"]


@pytest.mark.parametrize(
    "found", [Reply(404, "NoSuchKey"), Reply(200)], ids=["no object there", "another object there"]
)
async def test_an_upload_that_somebody_else_has_aborted_is_a_store_error(store_over: StoreOver, found: Reply) -> None:
    server = FaultyS3(replies={"complete": [NO_UPLOAD], "get": [found]})

    with pytest.raises(StoreError) as failure:
        await write(store_over(server), PATH, LARGE)

    assert not isinstance(failure.value, ObjectMissingError)
    assert failure.value.retryable


async def test_an_upload_that_is_aborted_already_needs_no_warning(
    store_over: StoreOver, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield LARGE
        raise TimeoutError

    server = FaultyS3(replies={"abort": [LOST, NO_UPLOAD]})

    with pytest.raises(TimeoutError):
        await store_over(server).write(PATH, failing(), media_type="video/mp4")

    assert server.calls[-2:] == ["abort", "abort"]
    assert caplog.records == []


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(400, "AuthorizationHeaderMalformed", region="garage"),
        Reply(301, "PermanentRedirect", headers={"x-amz-bucket-region": "garage"}),
    ],
    ids=["another region", "a bucket elsewhere"],
)
async def test_the_region_that_the_store_names_is_signed_for(store_over: StoreOver, refusal: Reply) -> None:
    server = FaultyS3(replies={"put": [refusal]})
    store = store_over(server)

    await write(store, PATH, b"content")
    await write(store, PATH, b"content")

    regions = [request.headers["Authorization"].split("/")[2] for request in server.requests]
    assert server.calls == ["put", "put", "put"]
    assert regions[1:] == ["garage", "garage"]


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirect_to_somewhere_else_is_not_followed(store_over: StoreOver, status: int) -> None:
    """It would carry what is signed for this server to another one."""
    server = FaultyS3(replies={"get": [Reply(status, headers={"Location": "/elsewhere"})]})

    with pytest.raises(StoreError, match=str(status)):
        await read(store_over(server), PATH)

    assert server.calls[0] == "get"
    assert "/elsewhere" not in {request.path for request in server.requests}


async def test_clocks_that_disagree_are_named(store_over: StoreOver) -> None:
    server = FaultyS3(replies={"put": [Reply(403, "RequestTimeTooSkewed")]})

    with pytest.raises(StoreError, match="RequestTimeTooSkewed"):
        await write(store_over(server), PATH, b"content")


@pytest.mark.parametrize("etag", ['"d41d8cd98f00b204e9800998ecf8427e-3"', 'W/"other"', "unquoted"])
async def test_the_tag_of_a_part_is_sent_back_as_it_came(store_over: StoreOver, etag: str) -> None:
    server = FaultyS3(replies={"part 1": [Reply(headers={"ETag": etag})]})

    await write(store_over(server), PATH, LARGE)

    sent = await server.requests[-1].read()
    assert etag.replace('"', "&quot;").encode() in sent or etag.encode() in sent


# The client's library drops the connection without closing it, and its end is noticed only by the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("header", ["Last-Modified", "x-amz-missing-meta"], ids=["a date", "a number"])
async def test_a_header_that_cannot_be_parsed_is_a_store_error(store_over: StoreOver, header: str) -> None:
    server = FaultyS3(replies={"get": [Reply(headers={header: "unknown"})]})

    with pytest.raises(StoreError, match="ValueError"):
        await read(store_over(server), PATH)

    gc.collect()


async def test_a_missing_object_may_be_reported_when_it_is_deleted(store_over: StoreOver) -> None:
    await store_over(FaultyS3(replies={"delete": [Reply(404, "NoSuchKey")]})).delete(PATH)


async def test_a_bare_404_does_not_say_that_an_object_is_missing(store_over: StoreOver) -> None:
    """Any web server responds so, for example to an endpoint with a wrong path. S3 names what is missing."""
    store = store_over(FaultyS3(replies={call: [Reply(404)] for call in ("put", "get", "delete")}))

    for using in (write(store, PATH, b"content"), read(store, PATH), store.delete(PATH)):
        with pytest.raises(StoreError, match="404") as failure:
            await using
        assert not isinstance(failure.value, ObjectMissingError)


async def test_an_object_that_becomes_visible_late_is_missing_until_then(store_over: StoreOver) -> None:
    store = store_over(FaultyS3(content=b"content", replies={"get": [Reply(404, "NoSuchKey")]}))

    with pytest.raises(ObjectMissingError):
        await store.verify(PATH)

    assert await store.verify(PATH) == stored(b"content")


class TestWithoutContentLength:
    """A body may come in chunks whose number is not known in advance."""

    async def test_the_body_is_read_to_its_end(self, store_over: StoreOver) -> None:
        assert await read(store_over(self._server()), PATH) == LARGE

    async def test_a_body_that_ends_early_is_a_store_error(self, store_over: StoreOver) -> None:
        with pytest.raises(StoreError):
            await read(store_over(self._server(cut_at=2 * MB)), PATH)

    def _server(self, cut_at: int | None = None) -> FaultyS3:
        return FaultyS3(content=LARGE, cut_at=cut_at, has_length=False)


async def test_a_path_prefix_of_the_endpoint_is_kept(prefixed: tuple[FaultyS3, ObjectStore]) -> None:
    server, store = prefixed

    await asyncio.gather(write(store, PATH, b"content"), write(store, PATH, LARGE))

    assert {request.path for request in server.requests} == {f"/storage/v1/s3/bucket/{PATH}"}
