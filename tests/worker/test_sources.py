import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.generations.media_types import JSON, TEXT
from worker.transfer.sources import Inline, Remote, first_url, sources_of

URL = "https://replicate.delivery/a/out-0.png"
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(st.sampled_from("ab \0\ud800\U0001f98a"), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "output",
    [
        URL,
        [URL],
        {"main": URL},
        {"details": {"files": [{"url": URL, "size": 5}], "prompt": "a cat"}},
        [["not a file", None, 3], [URL]],
    ],
)
def test_a_file_is_found_at_any_depth(output: Any) -> None:
    assert sources_of(output) == [Remote(URL)]
    assert first_url(output) == URL


def test_files_are_in_the_order_of_the_output() -> None:
    urls = [f"https://replicate.delivery/{number}" for number in range(4)]

    found = sources_of({"first": urls[0], "then": [urls[1], {"last": urls[2]}], "end": urls[3]})

    assert found == [Remote(url) for url in urls]


def test_a_file_that_is_named_several_times_is_one_file() -> None:
    urls = [f"https://replicate.delivery/{number}" for number in range(2)]
    inline = f"data:image/png;base64,{base64.b64encode(b'png').decode()}"

    found = sources_of({"image": urls[0], "images": [urls[1], urls[0], inline], "all": [[urls[0]], inline, urls[1]]})

    assert found == [Remote(urls[0]), Remote(urls[1]), Inline(b"png", None)]


@pytest.mark.parametrize("levels", [200, 1500, 100_000])
def test_a_file_is_found_in_any_number_of_levels(levels: int) -> None:
    output: Any = URL
    for level in range(levels):
        output = [output] if level % 2 else {"a": 1, "b": output}

    assert sources_of(output) == [Remote(URL)]


def test_a_text_that_is_too_long_for_an_address_is_text() -> None:
    text = URL + "x" * 10_000

    assert sources_of(text) == [Inline(text.encode(), TEXT)]
    assert first_url(text) is None


def test_addresses_on_other_hosts_are_ignored_if_there_are_other_files() -> None:
    terms, other = "https://creativecommons.org/licenses/by/4.0/", "http://files.example:9000/a.png"
    output = {"license": terms, "image": URL, "mask": other}

    assert sources_of(output) == [Remote(URL)]
    assert first_url(output) == URL
    assert sources_of(output, frozenset({"files.example:9000"})) == [Remote(URL), Remote(other)]
    # There is no other file, so this one is returned: its refusal must be reported.
    assert sources_of({"image": other}) == [Remote(other)]


@pytest.mark.parametrize("output", [None, "", [], {}])
def test_an_empty_output_has_no_files(output: Any) -> None:
    assert sources_of(output) == []
    assert first_url(output) is None


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("a poem", "a poem"),
        (["Once ", "upon", " a time"], "Once upon a time"),
        ("see https://example.com for more", "see https://example.com for more"),
        ("data: none", "data: none"),
        ("ü\n", "ü\n"),
    ],
)
def test_words_are_one_text_file(output: Any, text: str) -> None:
    assert sources_of(output) == [Inline(text.encode(), TEXT)]


@pytest.mark.parametrize("output", [0, False, 1.5, {"scores": [0.25]}, [1, "two"], [[]], {"count": 2**70}])
def test_anything_else_is_one_json_file(output: Any) -> None:
    (source,) = sources_of(output)

    assert isinstance(source, Inline)
    assert source.media_type == JSON
    assert json.loads(source.data) == output


@pytest.mark.parametrize(
    ("url", "data"),
    [
        (f"data:image/png;base64,{base64.b64encode(b'png').decode()}", b"png"),
        ("data:text/plain,a%20poem", b"a poem"),
        ("data:,", b""),
        ("data:;base64,", b""),
    ],
)
def test_a_file_may_be_inside_the_output(url: str, data: bytes) -> None:
    assert sources_of([url]) == [Inline(data, None)]
    assert first_url([url]) is None


@pytest.mark.parametrize("url", ["data:image/png;base64,***", "data:image/png;base64,QQ", "data:nothing"])
def test_a_data_url_that_cannot_be_decoded_is_text(url: str) -> None:
    assert sources_of(url) == [Inline(url.encode(), TEXT)]


@settings(deadline=None)
@given(ANYTHING)
def test_every_output_that_is_not_empty_has_files(output: Any) -> None:
    found = sources_of(output)

    assert bool(found) == (output is not None and output not in ("", [], {}))
