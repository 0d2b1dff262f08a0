"""What runs is what is priced: versions of other models are refused, and a run must say that it is what was asked."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.predictions.protocol import (
    Prediction,
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionUnavailableError,
    is_run_of,
)
from app.predictions.replicate import ReplicateClient
from tests.chat_models.raw_server import always, raw_server, response
from tests.predictions.test_replicate import create
from tests.vendors_simulator import VendorsSimulator

CHEAP, DEAR = "simulator/image", "simulator/video"
VERSION, OTHER_VERSION = "a" * 64, "b" * 64

MADE = Prediction(
    id="x",
    status="starting",
    model=CHEAP,
    version=VERSION,
    input={},
    output=None,
    error=None,
    predict_time=None,
    webhook=None,
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
    data_removed=False,
)


async def test_a_version_of_another_model_is_refused_before_anything_runs(
    client: ReplicateClient, simulator: VendorsSimulator
) -> None:
    with pytest.raises(PredictionMissingError, match=f"The model {CHEAP} has no version"):
        await create(client, f"{CHEAP}:{simulator.version(DEAR)}")

    assert simulator.log("prediction") == []


@pytest.mark.parametrize(
    "version", ["", "latest", "A" * 64, "a" * 63, "a" * 65, f"{VERSION}:{VERSION}", "../" + VERSION]
)
async def test_what_is_no_version_is_refused_before_anything_runs(
    client: ReplicateClient, simulator: VendorsSimulator, version: str
) -> None:
    with pytest.raises(PredictionRejectedError, match="has no version"):
        await create(client, f"{CHEAP}:{version}")

    assert simulator.log("prediction") == []


async def test_a_version_of_the_model_runs_and_is_looked_up_once() -> None:
    version = b'{"id": "%s"}' % VERSION.encode()
    made = b'{"id": "x", "status": "starting", "created_at": "2026-03-01T12:00:00Z"}'
    async with raw_server(lambda connection, request: always(_answer(request, version, made))(connection, request)) as (
        server
    ):
        client = ReplicateClient(server.url, "simulated")
        for _ in range(2):
            await create(client, f"{CHEAP}:{VERSION}")
        await client.close()

    lines = [request.partition(b"\r\n")[0].split()[:2] for request in server.requests]
    lookup = f"/v1/models/{CHEAP}/versions/{VERSION}".encode()
    assert lines == [[b"GET", lookup], [b"POST", b"/v1/predictions"], [b"POST", b"/v1/predictions"]]


def _answer(request: bytes, version: bytes, made: bytes) -> bytes:
    return response(version) if request.startswith(b"GET") else response(made, status="201 Created")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("200 OK", b'{"results": []}', PredictionRejectedError),
        ("200 OK", b'{"id": "%s"}' % OTHER_VERSION.encode(), PredictionRejectedError),
        ("404 Not Found", b"{}", PredictionMissingError),
        ("200 OK", b"<html>", PredictionUnavailableError),
        ("500 Internal Server Error", b"{}", PredictionUnavailableError),
        ("401 Unauthorized", b"{}", PredictionDeniedError),
    ],
)
async def test_a_version_that_cannot_be_looked_up_is_not_run(
    status: str, body: bytes, error: type[PredictionError]
) -> None:
    async with raw_server(always(response(body, status=status))) as server:
        client = ReplicateClient(server.url, "simulated")
        with pytest.raises(error):
            await create(client, f"{CHEAP}:{VERSION}")
        await client.close()

    assert all(request.startswith(b"GET ") for request in server.requests)


@pytest.mark.parametrize(
    ("asked", "model", "version", "is_so"),
    [
        (CHEAP, CHEAP, "hidden", True),
        (CHEAP, CHEAP, VERSION, True),
        (CHEAP, CHEAP, "", True),
        (CHEAP, CHEAP.upper(), "hidden", True),
        (CHEAP, "", VERSION, True),
        (CHEAP, DEAR, "hidden", False),
        (CHEAP, DEAR, VERSION, False),
        (f"{CHEAP}:{VERSION}", CHEAP, VERSION, True),
        (f"{CHEAP}:{VERSION}", CHEAP, "hidden", True),
        (f"{CHEAP}:{VERSION}", "", VERSION, True),
        (f"{CHEAP}:{VERSION}", CHEAP, OTHER_VERSION, False),
        (f"{CHEAP}:{VERSION}", DEAR, VERSION, False),
        (f"{CHEAP}:{VERSION}", "", OTHER_VERSION, False),
        (VERSION, DEAR, VERSION, True),
        (VERSION, DEAR, "hidden", True),
        (VERSION, DEAR, OTHER_VERSION, False),
    ],
)
def test_a_prediction_must_run_what_was_asked(asked: str, model: str, version: str, is_so: bool) -> None:
    assert replace(MADE, model=model, version=version).runs(asked) is is_so


@pytest.mark.parametrize(
    ("asked", "model", "version", "is_so"),
    [
        (CHEAP, CHEAP, "", True),
        (CHEAP, CHEAP.upper(), "hidden", True),
        (f"{CHEAP}:{VERSION}", CHEAP, VERSION, True),
        (f"{CHEAP}:{VERSION}", CHEAP, "hidden", True),
        (f"{CHEAP}:{VERSION}", "", VERSION, True),
        (VERSION, DEAR, VERSION, True),
        (CHEAP, "", VERSION, False),
        (CHEAP, DEAR, VERSION, False),
        (f"{CHEAP}:{VERSION}", CHEAP, OTHER_VERSION, False),
        (f"{CHEAP}:{VERSION}", DEAR, VERSION, False),
        (VERSION, DEAR, "hidden", False),
        (VERSION, "", "", False),
    ],
)
def test_a_run_is_taken_for_one_of_a_model_only_if_its_name_or_version_confirms_it(
    asked: str, model: str, version: str, is_so: bool
) -> None:
    assert is_run_of(asked, model, version) is is_so
