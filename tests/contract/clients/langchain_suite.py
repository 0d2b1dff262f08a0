"""LangChain's standard suite for chat models, as a provider of models runs it: by `pytest` of an own environment."""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

ACCESS = json.loads(os.environ["ACCESS"])

# The suite fetches its pictures, sounds and documents from elsewhere. Here they are the smallest ones of their kinds.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da6364f8cf500f0003860180"
    "5a347d6b0000000049454e44ae426082"
)
SOUND = (
    b"RIFF\x2c\x10\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"
    b"data\x08\x10\x00\x00" + bytes(4104)
)
DOCUMENT = b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"
FILES = {".png": PICTURE, ".jpg": PICTURE, ".wav": SOUND, ".pdf": DOCUMENT}


def _file(url: str, **_: Any) -> httpx.Response:
    ending = next(ending for ending in FILES if url.lower().endswith(ending))
    return httpx.Response(200, content=FILES[ending], request=httpx.Request("GET", url))


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what the suite fetches here."""
    monkeypatch.setattr(httpx, "get", _file)


@pytest.fixture(autouse=True, scope="session")
def one_loop() -> Iterator[None]:
    """One event loop for everything, as in an application: the package keeps its connections."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


class TestServer(ChatModelIntegrationTests):
    """The suite, with all that the server has."""

    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # With a base URL of its own it asks for the usage of a stream only if told to.
        where = {"base_url": ACCESS["base_url"], "api_key": ACCESS["key"]}
        return {"model": "junis-orchestrator", "stream_usage": True, **where}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "agent/plain"
