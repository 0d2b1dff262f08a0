"""What an input calls a file, and how a prediction that the vendor lists is still known by its input."""

import hashlib
import uuid

import pytest

from app.input_files.file_names import Reference, data_url, is_sent_as, references_in, replaced

DATA = b"\x89PNG\r\n\x1a\n and so on"
FILE = Reference(uuid.uuid4(), hashlib.sha256(DATA).hexdigest(), "image/png")
VALUES = {"prompt": "x", "images": [str(FILE), "https://x/y.png"], "image": str(FILE), "width": 5}
URL = f"https://example.com/files/inputs/{FILE.id}/{FILE.name}"


def test_a_file_is_found_by_its_name_and_replaced() -> None:
    assert references_in(VALUES) == [FILE]
    sent = replaced(VALUES, lambda file: f"<{file.media_type}>")
    assert sent == {"prompt": "x", "images": ["<image/png>", "https://x/y.png"], "image": "<image/png>", "width": 5}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junis-input:",
        str(FILE) + "x",
        str(FILE).replace(".png", ".exe"),
        str(FILE).replace(str(FILE.id), "-" * 36),
        f"see {FILE}",
    ],
)
def test_other_texts_name_no_file(text: str) -> None:
    assert Reference.of(text) is None


@pytest.mark.parametrize("way", [data_url("image/png", DATA), URL])
def test_an_input_is_known_whichever_way_its_files_went(way: str) -> None:
    assert is_sent_as(VALUES, replaced(VALUES, lambda _: way))


@pytest.mark.parametrize(
    "way",
    [data_url("image/png", DATA + b"!"), "data:image/png;base64,???", URL.replace(FILE.sha256[:6], "000000"), "", None],
)
def test_an_input_with_another_file_is_another_one(way: str | None) -> None:
    assert not is_sent_as(VALUES, replaced(VALUES, lambda _: way))


def test_other_parts_of_an_input_must_be_equal() -> None:
    sent = replaced(VALUES, lambda _: URL)

    assert not is_sent_as(VALUES, {**sent, "prompt": "y"})
    assert not is_sent_as(VALUES, {**sent, "seed": 1})
    assert not is_sent_as(VALUES, {**sent, "images": [URL]})
    assert is_sent_as({"prompt": "x"}, {"prompt": "x"})
    assert not is_sent_as({"prompt": "x"}, {"prompt": "y"})
