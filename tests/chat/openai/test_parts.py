"""The parts of a message's content that are not text: only those whose tokens can be counted in advance."""

import base64
import struct
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, user
from tests.chat.openai.grammar import check_error
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wav(sample_rate: int = 16_000, *, before: bytes = b"") -> str:
    """A WAV file of silence in base64. `before` are chunks before that of its format."""
    pcm = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    chunks = before + b"fmt " + struct.pack("<I", len(pcm)) + pcm + b"data" + struct.pack("<I", 320) + bytes(320)
    return base64_of(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)


def sound(data: Any, file_format: Any = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": file_format}}


def picture(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "part",
    [
        picture("https://example.com/a.png"),
        picture("http://example.com/a"),
        picture("DATA:image/svg+xml,%3Csvg/%3E"),
        sound(wav()),
        sound(wav(8000, before=b"LIST" + struct.pack("<I", 3) + b"odd\0")),
        sound(base64_of(b"ID3\x04\x00\x00\x00\x00\x00\x00"), "mp3"),
        sound(base64_of(b"\xff\xf3\x14\xc4" * 100), "mp3"),
        {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}},
    ],
)
async def test_parts_that_can_be_counted_reach_the_model(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, part: dict[str, Any]
) -> None:
    await answer_of(http, host, messages=[user([part])])

    assert upstream.the_request()["messages"] == [user([part])]


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"type": 7},
        {"type": "magic"},
        {"type": "text"},
        {"type": "text", "text": None},
        {"type": "refusal", "refusal": "Users refuse nothing."},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}},
        {"type": "file"},
        {"type": "file", "file": "data:application/pdf;base64,AAAA"},
        {"type": "file", "file": {"file_id": "file-of-the-operators"}},
        {"type": "file", "file": {"filename": "a.pdf"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.com/a.pdf"}},
        # The model's entry in the catalog does not say that it takes files.
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        picture(None),
        picture("gs://the-operators/a.png"),
        picture("file:///etc/passwd"),
        picture("data:video/mp4;base64,AAAA"),
        picture("data:application/pdf;base64,AAAA"),
        {"type": "input_audio"},
        {"type": "input_audio", "input_audio": {"id": "audio-of-somebody", "format": "wav"}},
        sound("https://example.com/a.wav"),
        sound("data:audio/wav;base64," + wav()),
        sound(wav(), "flac"),
        sound(wav(), ["wav"]),
        # Minutes in a few bytes.
        sound(wav(1)),
        sound(base64_of(b"fLaC" + bytes(60)), "mp3"),
        sound(base64_of(b"fLaC" + bytes(60)), "wav"),
        sound(wav(before=b"LIST" + struct.pack("<I", 5000) + bytes(5000))),
        sound("A"),
        sound(""),
    ],
)
async def test_parts_that_cannot_be_counted_are_refused(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, part: dict[str, Any]
) -> None:
    """Their cost is not known in advance, or it is not known whose file an id names."""
    response = await ask(http, host, messages=[user("Hello"), user([{"type": "text", "text": "Look:"}, part])])

    assert response.status_code == 400
    error = response.json()["error"]
    check_error(error)
    assert (error["code"], error["param"]) == ("invalid_request", "messages.1.content")
    assert upstream.calls() == []


async def test_an_assistants_message_may_hold_a_refusal_part(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    said = [user("Hello"), {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, user("Please")]

    await answer_of(http, host, messages=said)

    assert upstream.the_request()["messages"] == said
