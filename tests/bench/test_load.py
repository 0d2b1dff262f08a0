"""The load generator sends what it is told to, and notices what goes wrong."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from bench.turn_cost.load import Order, Outcome
from bench.turn_cost.loads import CALLS, GUARDS, RESPONSES, STREAMS, order_of
from bench.turn_cost.measure import LoadProcess

LONG = 60.0


@pytest.fixture
def order(model_server: str) -> Order:
    """Twenty calls of the chat model, four at a time."""
    order = order_of(
        CALLS[0], "127.0.0.1", urlsplit(model_server).port or 0, path="/v1/chat/completions", key="k", seconds=LONG
    )
    return replace(order, connections=4, requests=20)


@pytest.fixture
def process() -> Iterator[LoadProcess]:
    with LoadProcess() as running:
        yield running


def test_it_sends_as_many_requests_as_it_is_told_to(process: LoadProcess, order: Order, model_server: str) -> None:
    before = httpx.get(f"{model_server}/stat").json()["calls"]

    outcome = process.run(order)

    assert (outcome.requests, outcome.failures) == (20, 0)
    assert httpx.get(f"{model_server}/stat").json()["calls"] - before == 20
    assert 0 < outcome.p50 <= outcome.p99
    assert outcome.p99 < 1000 * outcome.seconds


def test_it_reads_streams_to_their_ends(process: LoadProcess, order: Order) -> None:
    body = {**order.bodies[0], **STREAMS[0].body}

    outcome = process.run(replace(order, bodies=[body], is_streamed=True, requests=5))

    assert (outcome.requests, outcome.failures) == (5, 0)
    assert 0 < outcome.first_word_p50 <= outcome.p50


def test_pieces_come_with_pauses_if_the_request_says_so(process: LoadProcess, order: Order) -> None:
    body = {**order.bodies[0], "stream": True, "seed": 2}

    outcome = process.run(replace(order, bodies=[body], is_streamed=True, requests=1, connections=1))

    assert outcome.requests == 1
    assert outcome.p50 >= 200
    assert outcome.first_word_p50 < outcome.p50 / 2


def test_what_is_not_as_it_should_be_is_a_failure(process: LoadProcess, order: Order) -> None:
    refused = process.run(replace(order, status=429))
    cut_off = process.run(replace(order, is_streamed=True))

    assert (refused.requests, refused.failures) == (0, 20)
    assert refused.samples[0].startswith("200 ")
    assert (cut_off.requests, cut_off.failures) == (0, 20)


def test_a_load_of_another_path_is_sent_there_with_its_body_or_read_from_there() -> None:
    posted, read = [order_of(load, "h", 1, path="/chat", key="k", seconds=1.0) for load in (RESPONSES[0], GUARDS[0])]

    assert (posted.method, posted.path, posted.is_streamed) == ("POST", "/api/external/v1/responses", True)
    assert [body.keys() for body in posted.bodies] == [{"stream", "model", "input"}]
    assert (read.method, read.path, read.bodies) == ("GET", "/api/external/v1/models", [])


def test_it_ends_with_its_orders() -> None:
    ended = subprocess.run([sys.executable, "-m", "bench.turn_cost.load"], input=b"", capture_output=True, check=True)

    assert ended.stdout == b""


def test_an_order_and_its_outcome_are_json() -> None:
    order = Order("h", 1, "POST", "/", {}, [{"a": 1}], 1, 1.0)
    outcome = Outcome(1, 0, 1.0, 1.0, 1.0, 0.0)

    assert Order(**orjson.loads(orjson.dumps(asdict(order)))) == order
    assert Outcome(**orjson.loads(orjson.dumps(asdict(outcome)))) == outcome
