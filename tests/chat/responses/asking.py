"""Requests for responses over HTTP, for any organization. Every stream is checked against the grammar."""

from typing import Any

import httpx

from tests.chat.responses.grammar import Streamed, check_response, read_stream
from tests.factories import Organization

RESPONSES = "/v1/responses"
MODEL = "junis-orchestrator"


def function(name: str) -> dict[str, Any]:
    """A function that the client offers."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "name": name, "description": "A tool.", "parameters": parameters}


WEATHER, TIME = function("get_weather"), function("get_time")


async def post(http: httpx.AsyncClient, organization: Organization, given: Any, **body: Any) -> httpx.Response:
    """What the server responds to one request with this input."""
    request = {"model": MODEL, "input": given, **body}
    return await http.post(RESPONSES, json=request, headers=organization.headers)


async def response_of(http: httpx.AsyncClient, organization: Organization, given: Any, **body: Any) -> dict[str, Any]:
    """The response of a turn that succeeds."""
    response: dict[str, Any] = (await post(http, organization, given, **body)).raise_for_status().json()
    check_response(response)
    return response


async def stream(
    http: httpx.AsyncClient,
    organization: Organization,
    given: Any,
    *,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Streamed:
    """One turn as a stream, read to its end."""
    request = {"model": MODEL, "input": given, "stream": True, **body}
    headers = {**organization.headers, **(headers or {})}
    async with http.stream("POST", RESPONSES, json=request, headers=headers) as response:
        raw = b"".join([piece async for piece in response.aiter_raw()])
    return read_stream(response, raw)


def text_of(response: dict[str, Any]) -> str:
    """The texts of a response's messages."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"] if part["type"] == "output_text")


def calls_in(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of functions in a response."""
    return [item for item in response["output"] if item["type"] == "function_call"]


def output(call: dict[str, Any], text: str) -> dict[str, Any]:
    """The client's result of a call."""
    return {"type": "function_call_output", "call_id": call["call_id"], "output": text}
