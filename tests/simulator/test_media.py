"""Other programs' parsers accept the files as what they claim to be, and each file says that it is simulated."""

import io
import json
import struct
import wave
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from simulator.media.formats import FORMATS
from simulator.media.scene import NOTICE, Scene
from tests.simulator.server import RunningSimulator

PROMPT = "a lighthouse at dusk, with a prompt that is long enough to be wrapped over several lines <&>"


def fetch(simulator: RunningSimulator, medium: str, output_format: str) -> bytes:
    output = simulator.run(f"simulator/{medium}", prompt=PROMPT, output_format=output_format)["output"]
    url = output[0] if isinstance(output, list) else output
    response = simulator.http.get(url)
    assert response.headers["content-type"] == FORMATS[output_format].content_type
    assert int(response.headers["content-length"]) == len(response.content)
    return response.content


@pytest.mark.parametrize(("name", "decoder"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("gif", "GIF")])
def test_pictures_decode(simulator: RunningSimulator, name: str, decoder: str) -> None:
    image = Image.open(io.BytesIO(fetch(simulator, "image", name)))

    image.load()

    assert (image.format, image.size) == (decoder, (512, 512))
    assert len(set(image.convert("RGB").resize((64, 64)).tobytes())) > 50


def test_png_carries_the_notice(simulator: RunningSimulator) -> None:
    image = Image.open(io.BytesIO(fetch(simulator, "image", "png")))

    assert image.info["Comment"] == NOTICE
    assert image.info["Prompt"] == PROMPT


def test_wav_is_two_seconds_of_sound(simulator: RunningSimulator) -> None:
    content = fetch(simulator, "audio", "wav")

    with wave.open(io.BytesIO(content)) as file:
        frames = file.readframes(file.getnframes())
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert file.getnframes() / file.getframerate() == pytest.approx(2, abs=0.01)
    assert max(struct.unpack(f"<{len(frames) // 2}h", frames)) > 8_000
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    assert NOTICE.encode() in content


def test_mp3_frames_follow_its_tag(simulator: RunningSimulator) -> None:
    content = fetch(simulator, "audio", "mp3")

    size = sum(byte << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    frames = content[10 + size :]
    assert content[:3] == b"ID3"
    assert NOTICE.encode() in content[: 10 + size]
    assert len(frames) % 417 == 0
    assert {frames[at : at + 2] for at in range(0, len(frames), 417)} == {b"\xff\xfb"}


def boxes(content: bytes, wanted: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of an MP4, including those inside other boxes."""
    at = 0
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + size]
        yield kind, body
        if kind in wanted:
            yield from boxes(body, wanted)
        at += size


def test_mp4_points_at_its_frames(simulator: RunningSimulator) -> None:
    content = fetch(simulator, "video", "mp4")
    found = dict(boxes(content, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta")))

    count = struct.unpack(">I", found[b"stsz"][8:12])[0]
    sizes = struct.unpack(f">{count}I", found[b"stsz"][12:])
    offset = struct.unpack(">I", found[b"stco"][8:12])[0]
    assert found[b"ftyp"][:4] == b"isom"
    assert b"avcC" in found[b"stsd"]
    assert content[offset:] == found[b"mdat"]
    assert sum(sizes) == len(found[b"mdat"])
    for size in sizes:
        length, nal = struct.unpack(">IB", content[offset : offset + 5])
        assert (length, nal) == (size - 4, 0x65)  # an IDR slice
        assert b"\0\0\1" not in content[offset + 4 : offset + size]
        offset += size
    assert NOTICE.encode() in found[b"cprt"]


def test_glb_describes_its_buffer(simulator: RunningSimulator) -> None:
    content = fetch(simulator, "glb", "glb")

    magic, version, length = struct.unpack("<4sII", content[:12])
    json_length, json_kind = struct.unpack("<I4s", content[12:20])
    document = json.loads(content[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack("<I4s", content[20 + json_length : 28 + json_length])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    assert (json_kind, binary_kind) == (b"JSON", b"BIN\0")
    assert binary_length == document["buffers"][0]["byteLength"] == len(content) - 28 - json_length
    assert document["asset"]["generator"] == NOTICE
    assert document["nodes"][0]["name"].startswith("simulated: a lighthouse")
    positions, indices = document["accessors"][0], document["accessors"][3]
    view = document["bufferViews"][3]
    binary = content[28 + json_length :]
    stored = struct.unpack(f"<{indices['count']}H", binary[view["byteOffset"] :][: view["byteLength"]])
    assert max(stored) == positions["count"] - 1


def test_svg_and_zip_hold_prompt_and_notice(simulator: RunningSimulator) -> None:
    svg = ET.fromstring(fetch(simulator, "other", "svg"))  # noqa: S314  # our own file
    with zipfile.ZipFile(io.BytesIO(fetch(simulator, "other", "zip"))) as archive:
        readme = archive.read("README.txt").decode()

    assert [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")] == [PROMPT, NOTICE]
    assert readme.startswith(NOTICE)


@pytest.mark.parametrize("name", FORMATS)
def test_equal_scenes_give_equal_bytes(name: str) -> None:
    render = FORMATS[name].render

    assert render(Scene(PROMPT)) == render(Scene(PROMPT))
    assert render(Scene(PROMPT)) != render(Scene("another prompt"))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("prompt", ["", "line\nbreak\0\x07", "\N{ROCKET} \N{CJK UNIFIED IDEOGRAPH-4E2D}", "a" * 50_000])
def test_all_prompts_can_be_rendered(name: str, prompt: str) -> None:
    assert 100 < len(FORMATS[name].render(Scene(prompt))) < 1_000_000


def test_outputs_of_one_prediction_differ(simulator: RunningSimulator) -> None:
    urls = simulator.run("simulator/image", num_outputs=4)["output"]

    assert len({simulator.http.get(url).content for url in urls}) == 4
