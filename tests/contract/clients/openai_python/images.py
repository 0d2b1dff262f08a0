"""Images, speech and vectors, which are made without an agent."""

import base64
from typing import Any

import httpx

from tests.contract.clients.openai_python.case import Case, Json

PAINTER = "black-forest-labs/flux-schnell"
EDITOR = "simulator/edit--slow-1"
SPEAKER = "simulator/audio--slow-1"
EMBEDDER = "sim-embed"


def images(case: Case) -> Json:
    """Two images of a size by their bytes, and one by its URL alone."""
    client: Any = case.client().images
    common: Json = {"model": PAINTER, "prompt": "A lighthouse", "size": "128x72", "extra_headers": case.headers}
    by_bytes = client.generate(n=2, response_format="b64_json", **common)
    by_url = client.generate(response_format="url", **common)
    (only,) = by_url.data
    return {
        "sizes": [size_of(base64.b64decode(image.b64_json, validate=True)) for image in by_bytes.data],
        "has_bytes": only.b64_json is not None,
        "at_url": size_of(httpx.get(only.url).content),
    }


def images_in_a_stream(case: Case) -> Json:
    """Two images, each as an event."""
    client: Any = case.client().images
    headers = case.headers
    events = client.generate(
        model=PAINTER, prompt="A lighthouse", n=2, size="128x72", stream=True, extra_headers=headers
    )
    return {"events": [[event.type, size_of(base64.b64decode(event.b64_json))] for event in events]}


def changed_images(case: Case) -> Json:
    """An image that is changed, given alone and in a list."""
    client: Any = case.client().images
    common: Json = {"prompt": "A lighthouse", "response_format": "b64_json", "extra_headers": case.headers}
    (painted,) = client.generate(model=PAINTER, size="128x72", **common).data
    image = ("image.png", base64.b64decode(painted.b64_json), "image/png")
    changed = [client.edit(model=EDITOR, image=given, **common) for given in (image, [image])]
    return {"sizes": [size_of(base64.b64decode(each.data[0].b64_json)) for each in changed]}


def speech(case: Case) -> Json:
    """A spoken text."""
    client: Any = case.client().audio.speech
    spoken = client.create(model=SPEAKER, voice="alloy", input="Good evening", extra_headers=case.headers)
    content: bytes = spoken.read()
    return {
        "type": spoken.response.headers["content-type"],
        "begins": content[:4].decode("latin-1"),
        "is_long": len(content) > 1000,
    }


def embeddings(case: Case) -> Json:
    """The vectors of two texts, which the SDK asks for in base64, and of the first one as numbers."""
    client: Any = case.client().embeddings
    common: Json = {"model": EMBEDDER, "extra_headers": case.headers}
    both = client.create(input=["Hello!", "Oslo?"], **common)
    one = client.create(input="Hello!", encoding_format="float", **common)
    return {
        "vectors": [each.embedding for each in both.data],
        "again": one.data[0].embedding,
        "usage": [both.usage.prompt_tokens, both.usage.total_tokens],
    }


def size_of(png: bytes) -> list[int]:
    """The width and the height of a picture."""
    assert png.startswith(b"\x89PNG")
    return [int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")]


SCENARIOS = (images, images_in_a_stream, changed_images, speech, embeddings)
