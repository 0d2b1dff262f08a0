"""What the failure of a call means for whoever has set the upstream up, by what a real server responds."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.chat_models.client import open_chat_model_client
from app.chat_models.failures import Fault, UpstreamSetting, explain, some
from app.chat_models.offer import Offer, OfferedModel, read_offer
from app.chat_models.protocol import ChatModelClient, Upstream, UpstreamResponse
from app.chat_models.trial import try_model
from app.core.errors import AppError
from tests.chat_server import ChatServer, chat_server


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server(models={"llama": {"context_length": 4096}, "models/gemini": {}, "qwen:latest": {}}) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[ChatModelClient]:
    opened = open_chat_model_client()
    yield opened
    await opened.close()


async def fault_of(client: ChatModelClient, base_url: str, *, model: str = "llama", key: str = "") -> Fault:
    """The fault of a trial that fails."""
    asked = UpstreamSetting(Upstream(base_url, key), model)
    try:
        offer = await read_offer(client, asked.upstream, timeout=5)
    except AppError:
        offer = None
    trial = await try_model(client, asked.upstream, model, timeout=5)
    assert trial.failure is not None
    return await explain(client, asked, offer, trial.failure)


@pytest.mark.parametrize(
    ("status", "message", "found", "mend"),
    [
        (401, "Incorrect API key", "wants a key: Incorrect API key", "set LLM_API_KEY"),
        (402, "Insufficient credits", "the account has no money left", "add credit"),
        (429, "You exceeded your current quota", "the account has no money left", "add credit"),
        (429, "Slow down", "limits requests: Slow down", "wait"),
        (400, "No connected db.", "wants a key", "set LLM_API_KEY"),
        (400, "temperature must be 1", "refuses a small request for llama: temperature must be 1", "set it up"),
        (404, "model 'llama' not found, try pulling it first", "has no model llama", "one of its models"),
        (500, "out of memory", "fails with status 500 Internal Server Error: out of memory", "see its log"),
        (200, "the engine has died", "reports an error: the engine has died", "see its log"),
        (301, "", "redirects to another address", "set LLM_BASE_URL to the address"),
        (405, "", "is no chat completions API: status 405 Method Not Allowed", "the URL before /chat/completions"),
    ],
)
async def test_each_status_is_told_in_words(
    server: ChatServer, client: ChatModelClient, status: int, message: str, found: str, mend: str
) -> None:
    server.refusals = {"llama": (status, message)}

    fault = await fault_of(client, server.base_url)
    server.refusals = {}

    assert found in fault.found
    assert mend in fault.mend


@pytest.mark.parametrize(
    ("base_url", "found"),
    [
        ("http://no-such-name.invalid/v1", "the name cannot be resolved"),
        ("http://127.0.0.1:9/v1", "127.0.0.1:9 (LLM_BASE_URL) cannot be used: "),
    ],
)
async def test_a_server_that_cannot_be_reached_is_told(client: ChatModelClient, base_url: str, found: str) -> None:
    assert found in (await fault_of(client, base_url)).found


async def test_a_server_without_tls_is_told(server: ChatServer, client: ChatModelClient) -> None:
    fault = await fault_of(client, server.base_url.replace("http://", "https://"))

    assert "it speaks no TLS" in fault.found


async def test_a_refused_key_is_not_shown(server: ChatServer, client: ChatModelClient) -> None:
    server.key = "the-right-one"
    fault = await fault_of(client, server.base_url, key="sk-the-wrong-one")
    server.key = ""

    assert fault.mend == "correct LLM_API_KEY"
    assert "wrong-one" not in fault.found


def test_of_many_names_the_most_similar_ones_are_shown() -> None:
    names = [f"model-{number}" for number in range(20)] + ["llama-3.2"]

    shown = some(names, "llama-3")

    assert shown.startswith("llama-3.2, model-0, ")
    assert shown.endswith(" and 13 more")


async def test_names_are_found_as_servers_spell_them(server: ChatServer, client: ChatModelClient) -> None:
    offer = await read_offer(client, Upstream(server.base_url, ""), timeout=5)

    assert offer.find("llama") == OfferedModel("llama", 4096)
    assert offer.find("gemini") == OfferedModel("models/gemini")
    assert offer.find("qwen") == OfferedModel("qwen:latest")
    assert offer.find("mistral") is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"data": null}', b'{"data": [1, {"id": 2}, {}]}'])
def test_an_offer_that_is_none_names_no_models(body: bytes) -> None:
    offer = Offer.of(UpstreamResponse(200, {}, body))

    assert (offer.names, offer.first_chat_model()) == ([], None)


@pytest.mark.parametrize(
    ("listed", "models"),
    [
        ({"data": [{"id": "a", "context_length": "8192"}]}, [("a", 8192)]),
        (
            {"data": [{"id": "a", "max_model_len": 8192.0}, {"id": "b", "max_model_len": "0"}]},
            [("a", 8192), ("b", None)],
        ),
        ({"models": [{"name": "a:latest", "model": "a:latest"}]}, [("a:latest", None)]),
        ({"models": ["a", "b"]}, [("a", None), ("b", None)]),
        ([{"name": "a"}, {"id": None}, 7], [("a", None)]),
    ],
)
def test_the_offer_of_every_kind_of_server_is_understood(listed: Any, models: list[tuple[str, int | None]]) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(listed).encode()

    offer = Offer.of(UpstreamResponse(200, {}, body))

    assert [(model.name, model.context_tokens) for model in offer.models] == models


def test_a_model_that_makes_pictures_is_not_taken_for_chats() -> None:
    body = json.dumps({"data": [{"id": "gpt-image-1"}, {"id": "text-embedding-3"}, {"id": "gpt-4o"}]}).encode()

    assert Offer.of(UpstreamResponse(200, {}, body)).first_chat_model() == "gpt-4o"
