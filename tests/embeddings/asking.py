"""Requests for embeddings, and their vectors."""

import base64
from array import array
from typing import Any

import httpx

from tests.factories import Organization

PATH = "/v1/embeddings"


async def embed(
    http: httpx.AsyncClient,
    organization: Organization,
    given: Any = "Hello",
    *,
    model: str = "sim-embed",
    key: str | None = None,
    **body: Any,
) -> httpx.Response:
    """The response to one request."""
    headers = organization.headers | ({"Idempotency-Key": key} if key else {})
    return await http.post(PATH, json={"model": model, "input": given, **body}, headers=headers)


def vectors_of(response: httpx.Response) -> list[list[float]]:
    """The vectors of a response of success, in either form, as numbers."""
    data = response.raise_for_status().json()["data"]
    assert [each["index"] for each in data] == list(range(len(data)))
    assert {each["object"] for each in data} == {"embedding"}
    return [_numbers(each["embedding"]) for each in data]


def _numbers(embedding: Any) -> list[float]:
    if isinstance(embedding, str):
        return array("f", base64.b64decode(embedding, validate=True)).tolist()
    return [float(number) for number in embedding]
