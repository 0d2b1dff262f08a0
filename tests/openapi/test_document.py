"""What `/openapi.json` says of every operation."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from app.core.errors import AppError
from tests.api_keys.test_every_route import BASE, SCOPES
from tests.chat.asking import stream
from tests.chat.tools import WEATHER
from tests.conftest import Stack
from tests.factories import Organization

Document = dict[str, Any]
# What no operation responds with, but every path, or the webhooks of Replicate.
NOT_OF_THE_API = {
    *("method_not_allowed", "headers_too_large", "request_timeout", "invalid_signature"),
    # Refusals of the console, which are pages.
    *("agent_changed", "agent_version_not_found", "sign_in_busy", "sign_in_slowed"),
}


@pytest.fixture(scope="module")
async def document(stack: Stack) -> Document:
    async with httpx.AsyncClient() as client:
        found: Document = (await client.get(f"{stack.url}/openapi.json")).raise_for_status().json()
    return found


def operations_of(document: Document) -> Iterator[tuple[str, Document]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def validator_of(document: Document, name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_every_operation_says_which_key_it_needs(document: Document) -> None:
    found = {name: operation.get("security") for name, operation in operations_of(document)}

    for name, security in found.items():
        method, path = name.split(" ")
        if not path.startswith(BASE):
            assert security is None
            continue
        scope = SCOPES[f"{method} {re.sub('{[^}]*}', '{}', path.removeprefix(BASE))}"]
        assert security == [{scheme: [scope] if scope else []} for scheme in ("ApiKey", "Bearer")]


def test_every_response_has_its_headers(document: Document) -> None:
    for name, operation in operations_of(document):
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"], (name, status)
            if "security" in operation and int(status) < 500:
                assert "X-RateLimit-Remaining" in response["headers"], (name, status)
            assert int(status) < 400 or "application/json" in response["content"], (name, status)


def test_every_stream_says_what_its_events_are(document: Document) -> None:
    streams = {
        name: content["text/event-stream"]
        for name, operation in operations_of(document)
        for response in operation["responses"].values()
        if "text/event-stream" in (content := response.get("content", {}))
    }

    assert len(streams) >= 4
    for name, stream_read in streams.items():
        assert set(stream_read) == {"itemSchema"}, name
        assert "data" in stream_read["itemSchema"]["required"], name


def test_every_key_protected_operation_documents_what_any_of_them_may_end_with(document: Document) -> None:
    for name, operation in operations_of(document):
        if "security" in operation:
            assert operation["responses"].keys() >= {"200", "401", "403", "429", "500", "503"}, name
        assert "422" not in operation["responses"], name


def test_whatever_is_billed_may_be_too_dear(document: Document) -> None:
    billed = {name: each for name, each in operations_of(document) if each.get("x-billing") == "metered"}

    assert len(billed) >= 9
    for name, operation in billed.items():
        refused = json.dumps(operation["responses"]["402"])
        for error in ("InsufficientCredits", "MaxCreditsReached", "KeyCapReached"):
            assert f"{error}Error" in refused, name


def test_every_code_is_documented(document: Document) -> None:
    documented = set(re.findall(r'"code": {"const": "(\w+)"}', json.dumps(document)))

    def below(kind: type[AppError]) -> Iterator[type[AppError]]:
        for error in kind.__subclasses__():
            yield error
            yield from below(error)

    assert {error.code for error in below(AppError)} - documented <= NOT_OF_THE_API


async def test_completions_are_as_documented(client: httpx.AsyncClient, document: Document) -> None:
    validate = validator_of(document, "ChatCompletion").validate
    for words, tools in (("Hello", []), ("Please make simulator/image", []), ("get weather", [WEATHER])):
        body = {"messages": [{"role": "user", "content": words}], "tools": tools}
        validate((await client.post("/v1/chat/completions", json=body)).raise_for_status().json())


async def test_chunks_are_as_documented(
    http: httpx.AsyncClient, organization: Organization, document: Document
) -> None:
    streamed = await stream(
        http,
        organization,
        "make simulator/image and get_weather",
        tools=[WEATHER],
        stream_options={"include_usage": True},
    )

    assert streamed.calls
    for chunk in (streamed.first, *streamed.said, streamed.finish, streamed.usage):
        validator_of(document, "ChatCompletionChunk").validate(chunk)


async def test_content_and_sessions_are_as_documented(client: httpx.AsyncClient, document: Document) -> None:
    body = {"messages": [{"role": "user", "content": "Please make simulator/image"}]}
    made = (await client.post("/v1/chat/completions", json=body)).raise_for_status().json()
    content_id, session_id = made["generated_content"][0]["id"], made["session_id"]

    for path, name in (
        ("/content", "ContentPageRead"),
        (f"/content/{content_id}", "ContentDetail"),
        ("/sessions", "SessionPageRead"),
        (f"/sessions/{session_id}/messages", "MessagePageRead"),
        (f"/sessions/{session_id}/status", "SessionStatusRead"),
        ("/agents", "AgentsRead"),
        ("/v1/models", "ModelsRead"),
        ("/credits", "BalanceRead"),
    ):
        validator_of(document, name).validate((await client.get(path)).raise_for_status().json())
