"""What is found out about the chat model of a quickstart, and what it costs then."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.catalog.errors import ModelNotPricedError
from app.catalog.service import PricedModel, get_chat_model
from app.cli.transaction import in_transaction
from tests.chat_server import ChatServer, chat_server
from tests.cli.conftest import Junis
from tests.cli.databases import query


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server on this machine; LLM_BASE_URL leads to it."""
    with chat_server(models={"text-embedding": {}, "llama:8b": {"max_model_len": 8192}, "qwen": {}}) as running:
        monkeypatch.setenv("LLM_BASE_URL", running.base_url)
        yield running


@pytest.fixture
def found(database_url: str, junis: Junis) -> Any:
    def run() -> dict[str, Any]:
        outcome = junis("demo-model")
        assert outcome.status == 0, outcome.stderr
        return dict(json.loads(outcome.stdout))

    return run


def priced(name: str) -> PricedModel:
    return in_transaction(get_chat_model, name)


def test_a_model_on_this_machine_answers_and_is_free(
    server: ChatServer, found: Any, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", "llama:8b")

    model = found()

    assert (model["model"], model["problem"], model["price"], model["was_made_free"]) == ("llama:8b", "", [0, 0], True)
    assert priced("llama:8b").context_tokens == 8192
    assert len(server.calls) == 1
    assert found()["was_made_free"] is False
    ((event, object_id, source, request_id),) = query(
        database_url, "SELECT event, object_id, source, request_id FROM audit_events"
    )
    assert (event, object_id, "@" in source, request_id[:4]) == ("model_imported", "llama:8b", True, "cli-")


def test_without_a_name_the_first_model_that_chats_is_taken(server: ChatServer, found: Any) -> None:
    model = found()

    assert model["model"] == "llama:8b"
    assert "LLM_MODEL is not set: this is the first model there; others: text-embedding, qwen" in model["note"]
    assert priced("llama:8b").price.per_million_prompt_tokens == 0


def test_a_price_that_was_set_is_kept(
    server: ChatServer, found: Any, junis: Junis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "qwen")
    junis("catalog", "price", "qwen", "--prompt", "1", "--completion", "2")

    model = found()

    assert (model["price"], model["was_made_free"]) == ([1, 2], False)


def test_a_model_that_is_not_there_gets_no_price_and_the_others_are_named(
    server: ChatServer, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "llama:80b")

    model = found()

    assert f"{server.base_url} has no model llama:80b" in model["problem"]
    assert model["mend"] == "set LLM_MODEL to one of its models: llama:8b, text-embedding, qwen"
    with pytest.raises(ModelNotPricedError):
        priced("llama:80b")


@pytest.mark.parametrize(("key", "mend"), [("", "set LLM_API_KEY"), ("sk-wrong-1234567890", "correct LLM_API_KEY")])
def test_a_missing_or_wrong_key_is_named_and_not_shown(
    server: ChatServer, found: Any, monkeypatch: pytest.MonkeyPatch, key: str, mend: str
) -> None:
    server.key = "sk-right"
    monkeypatch.setenv("LLM_API_KEY", key)
    monkeypatch.setenv("LLM_MODEL", "qwen")

    model = found()

    assert model["mend"] == mend
    assert not key or key not in json.dumps(model)
    # It will answer once the key is right.
    assert model["was_made_free"]


@pytest.mark.parametrize("path", ["", "/wrong"])
def test_a_wrong_base_url_is_told_with_the_right_one(
    server: ChatServer, found: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("LLM_BASE_URL", f"{server.origin}{path}")
    monkeypatch.setenv("LLM_MODEL", "qwen")

    model = found()

    assert "is no chat completions API: status 404 Not Found" in model["problem"]
    assert model["mend"] == f"set LLM_BASE_URL={server.base_url}"


def test_a_server_that_does_not_run_is_told(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LLM_MODEL", "qwen")

    model = found()

    assert model["problem"].startswith("127.0.0.1:9 (LLM_BASE_URL) cannot be used: ")
    assert model["mend"].startswith("start it, or correct LLM_BASE_URL")


def test_a_model_that_refuses_tools_answers_and_is_told(
    server: ChatServer, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.takes_tools = False
    monkeypatch.setenv("LLM_MODEL", "qwen")

    model = found()

    assert model["problem"] == ""
    assert "it refuses tools" in model["note"]
    assert "qwen does not support tools" in model["note"]
    assert len(server.calls) == 1


def test_the_price_of_a_model_that_is_far_away_is_the_operators_to_set(
    found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that leads nowhere: nothing outside is asked.
    monkeypatch.setenv("LLM_BASE_URL", "https://api.vendor.invalid/v1")
    monkeypatch.setenv("LLM_MODEL", "large")

    model = found()

    assert (model["is_near"], model["price"]) == (False, None)
    assert "the name cannot be resolved" in model["problem"]
    with pytest.raises(ModelNotPricedError):
        priced("large")
