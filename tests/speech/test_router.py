import asyncio
import io
import secrets
import wave
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.chat.books import books_of
from tests.conftest import Stack
from tests.factories import Organization
from tests.max_credits import WAYS, limited
from tests.programs import api_process, running_apis
from tests.waiting import until

PATH = "/v1/audio/speech"


async def speak(
    http: httpx.AsyncClient, organization: Organization, *, key: str | None = None, **body: Any
) -> httpx.Response:
    headers = organization.headers | ({"Idempotency-Key": key} if key else {})
    return await http.post(PATH, json={"input": "Good evening", **body}, headers=headers)


def seconds_of(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as opened:
        return float(opened.getnframes() / opened.getframerate())


async def content_of(http: httpx.AsyncClient, organization: Organization, response: httpx.Response) -> dict[str, Any]:
    path = f"/content/{response.headers['X-Content-ID']}"
    found: dict[str, Any] = (await http.get(path, headers=organization.headers)).raise_for_status().json()
    return found


async def test_the_response_is_the_file_of_a_content(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = (await speak(http, organization, voice="alloy", response_format="wav")).raise_for_status()

    content = await content_of(http, organization, response)
    assert (content["content_type"], content["status"], content["prompt"]) == ("audio", "completed", "Good evening")
    assert (await http.get(content["storage_url"])).raise_for_status().content == response.content
    assert response.headers["content-type"] == "audio/wav"
    assert int(response.headers["content-length"]) == len(response.content)
    assert seconds_of(response.content) == pytest.approx(2, abs=0.1)
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.01")], ["settled"])


@pytest.mark.parametrize("by", WAYS)
async def test_it_costs_no_more_than_the_request_may(http: httpx.AsyncClient, database: Database, by: str) -> None:
    organization = await factories.make_organization(database)

    async def ask(most: str) -> httpx.Response:
        limit, headers = limited(organization, most, by)
        return await http.post(PATH, json={"input": "Good evening", **limit}, headers=headers)

    refused, served = await ask("0.049999"), await ask("0.05")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_credits_reached")
    assert served.status_code == 200
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.01")], ["settled"])


async def test_a_file_that_is_no_audio_is_what_the_document_allows(
    http: httpx.AsyncClient, stack: Stack, organization: Organization
) -> None:
    made = (await speak(http, organization, model="simulator/image--slow-3")).raise_for_status()

    document = (await http.get(f"{stack.url}/openapi.json")).raise_for_status().json()
    allowed = document["paths"]["/api/external/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert (made.headers["content-type"], list(allowed)) == ("image/png", ["audio/*", "*/*"])


async def test_fields_are_what_the_catalog_says(http: httpx.AsyncClient, organization: Organization) -> None:
    mp3 = (await speak(http, organization, response_format="mp3", voice={"id": "voice-1"})).raise_for_status()
    fast = (await speak(http, organization, response_format="wav", speed=2)).raise_for_status()
    usual = (await speak(http, organization, model="simulator/audio--slow-4", speed=1.0)).raise_for_status()

    assert (mp3.headers["content-type"], mp3.content[:3]) == ("audio/mpeg", b"ID3")
    assert seconds_of(fast.content) == pytest.approx(1, abs=0.1)
    assert seconds_of(usual.content) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"voice": "nobody"}, "voice"),
        ({"voice": {"name": "alloy"}}, "voice"),
        ({"response_format": "opus"}, "response_format"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": 5}, "speed"),
        ({"speed": 2, "model": "simulator/audio--slow-4"}, "speed"),
        ({"instructions": "Whisper"}, "instructions"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"input": ""}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"input": None}, "input"),
        ({"model": "tts-1"}, "model"),
        ({"language": "en"}, "language"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_named(
    http: httpx.AsyncClient, database: Database, organization: Organization, body: dict[str, Any], param: str
) -> None:
    response = await speak(http, organization, **body)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_request")
    assert error["param"].partition(".")[0] == param
    assert (await books_of(database, organization)).holds == []


async def test_speech_that_cannot_be_made_is_an_error_and_free(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await speak(http, organization, model="simulator/audio--fail")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "generation_failed")
    assert response.headers["x-should-retry"] == "false"
    assert (await books_of(database, organization)).charges == []


async def test_speech_that_takes_too_long_is_left_to_be_read_later(
    stack: Stack, http: httpx.AsyncClient, organization: Organization
) -> None:
    settings = {**stack.environment, "IMAGES_WAIT_SECONDS": "1"}
    api = api_process(settings, stack.folder / f"speech-{secrets.token_hex(4)}.log")
    async with running_apis(api), open_http(api.url) as hasty:
        response = await speak(hasty, organization, model="simulator/audio--slow-600")

    error = response.json()["error"]
    listed = (await http.get("/content", headers=organization.headers)).raise_for_status().json()["items"]
    assert (response.status_code, error["code"]) == (504, "generation_unfinished")
    assert response.headers["x-should-retry"] == "false"
    assert error["content_ids"] == [each["id"] for each in listed]


async def test_speech_of_a_client_that_hung_up_is_made_and_charged_once(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    body = {"input": "Good evening", "model": "simulator/audio--slow-4"}
    with pytest.raises(httpx.ReadTimeout):
        await http.post(PATH, json=body, headers=organization.headers, timeout=1)

    async def is_charged() -> bool:
        return (await books_of(database, organization)).holds == ["settled"]

    await until(is_charged)
    assert (await books_of(database, organization)).charges == [Decimal("0.01")]


async def test_a_repeated_request_has_the_same_file(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    first, second = [(await speak(http, organization, key="one")).raise_for_status() for _ in range(2)]

    assert first.content == second.content
    assert first.headers["X-Content-ID"] == second.headers["X-Content-ID"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len((await books_of(database, organization)).charges) == 1


async def test_the_key_needs_its_scope_and_credits(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    key = await factories.make_key(database, organization)
    poor = await factories.make_organization(database, credit="0.04")

    refused = await http.post(PATH, json={"input": "x"}, headers={"X-API-Key": key})

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_not_allowed")
    assert (await speak(http, poor)).status_code == 402


@pytest.mark.usefixtures("http")
async def test_openais_clients_get_the_file(stack: Stack, organization: Organization, tmp_path: Path) -> None:
    base_url, api_key, target = f"{stack.base_url}/v1", organization.api_key, tmp_path / "evening.wav"

    def stream() -> None:
        with (
            openai.OpenAI(base_url=base_url, api_key=api_key) as client,
            client.audio.speech.with_streaming_response.create(
                model="simulator/speech", voice="alloy", input="Good evening", response_format="wav"
            ) as spoken,
        ):
            spoken.stream_to_file(target)

    await asyncio.to_thread(stream)
    async with openai.AsyncOpenAI(base_url=base_url, api_key=api_key) as client:
        whole = await client.audio.speech.create(
            model="simulator/speech", voice="alloy", input="Good evening", response_format="mp3", speed=1
        )

    assert seconds_of(target.read_bytes()) == pytest.approx(2, abs=0.1)
    assert whole.content.startswith(b"ID3")
