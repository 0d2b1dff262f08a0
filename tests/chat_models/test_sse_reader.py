import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.sse_reader import MAX_EVENT_BYTES, SseReader
from app.core.errors import ProviderError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Without what would be a document of its own.
line_texts = st.binary(max_size=20).map(lambda text: text.translate(None, b"\n\r{["))
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
# Bytes that are likely to form the sequences that a reader can get wrong.
streams = st.lists(
    st.sampled_from(
        [b"data:", b"data: ", b"data", b"\n", b"\r\n", b"\r", b": note", b"event: x", b"{}", b"[DONE]", b"\xef"]
    )
    | st.binary(max_size=5)
).map(b"".join)


@st.composite
def written_events(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """The bytes of a stream, and the data of the events in it."""
    written, events = [draw(st.sampled_from([b"", BYTE_ORDER_MARK]))], []
    end = draw(line_ends)
    for lines in draw(st.lists(st.lists(line_texts, min_size=1, max_size=3), max_size=5)):
        for line in lines:
            other = draw(st.sampled_from([b"", b": keep-alive", b"event: message", b"id: 7", b"retry: 5"]))
            written += [other, end if other else b"", b"data: ", line, end]
        written.append(end)
        events.append(b"\n".join(lines))
    return b"".join(written), [event for event in events if event]


def read(stream: bytes, cuts: list[int] | None = None) -> list[bytes]:
    positions = sorted({cut % (len(stream) + 1) for cut in cuts or []})
    pieces = [stream[start:end] for start, end in zip([0, *positions], [*positions, len(stream)], strict=True)]
    reader = SseReader()
    return [*(data for piece in pieces for data in reader.feed(piece)), *reader.rest()]


@given(stream=streams, cuts=st.lists(st.integers(min_value=0)))
def test_it_does_not_matter_where_the_stream_is_cut_into_pieces(stream: bytes, cuts: list[int]) -> None:
    assert read(stream, cuts) == read(stream)


@given(written=written_events(), cuts=st.lists(st.integers(min_value=0)))
def test_every_event_is_read_as_it_was_written(written: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    stream, events = written

    assert read(stream, cuts) == events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="one event a line"),
        pytest.param(b"data:a\n\n", [b"a"], id="no space"),
        pytest.param(b"data:  a\n\n", [b" a"], id="only one space is dropped"),
        pytest.param(b"data: a\r\n\r\n", [b"a"], id="CR LF"),
        pytest.param(b"data: {\ndata: }\n\n", [b"{\n}"], id="several lines are one event"),
        pytest.param(b"data: a\ndata\ndata: b\n\n", [b"a\n\nb"], id="a field without a colon is an empty line"),
        pytest.param(b": keep-alive\n\n:\ndata: a\n\n", [b"a"], id="comments"),
        pytest.param(b"event: ping\nid: 1\nretry: 5\n\ndata: a\n\n", [b"a"], id="other fields"),
        pytest.param(b"data:\n\ndata: \n\ndata: a\n\n", [b"a"], id="events without data"),
        pytest.param(b"database: x\n\ndata: a\n\n", [b"a"], id="a field that begins like data"),
        pytest.param(BYTE_ORDER_MARK + b"data: a\n\n", [b"a"], id="byte order mark"),
        pytest.param(b"data: a\n\n" + BYTE_ORDER_MARK + b"data: b\n\n", [b"a"], id="a byte order mark inside"),
        pytest.param(b"data: a\n\ndata: b\n", [b"a", b"b"], id="an event that was ended by the end of the stream"),
        pytest.param(b"data: a\n\ndata: b", [b"a", b"b"], id="a line that was ended by the end of the stream"),
        pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR"),
        pytest.param(b"data: {}\ndata: []\ndata: [DONE]\n", [b"{}", b"[]\n[DONE]"], id="no blank lines"),
        pytest.param(b'data: {"a": 1}\ndata: {}\ndata: [DONE]', [b'{"a": 1}', b"{}", b"[DONE]"], id="only lines"),
        pytest.param(b"data: [DONE]\ndata: {}\n\n", [b"[DONE]", b"{}"], id="no blank line after the end"),
        pytest.param(b"data: [done]\n\ndata: DONE\n\n", [b"[DONE]"] * 2, id="the end in other letters"),
        pytest.param(b'data: "[DONE]"\r\n\r\n', [b"[DONE]"], id="the end as a JSON text"),
        pytest.param(b"data: ping\n\ndata: a\n\n", [b"a"], id="a ping"),
        pytest.param(b"event: ping\ndata: null\n\ndata: keep-alive\r\n\r\n", [], id="other signs of life"),
        pytest.param(b"data: [PING]\n\ndata: : heartbeat\n", [], id="signs of life with something around them"),
        pytest.param(b"data: ping failed\n\n", [b"ping failed"], id="what only begins like one"),
        pytest.param(b'data: {"a":\ndata: 1}\ndata: {}\n\n', [b'{"a":\n1}\n{}'], id="lines that are no documents"),
    ],
)
def test_what_counts_as_an_event(stream: bytes, events: list[bytes]) -> None:
    assert read(stream) == events


def test_an_event_of_the_maximum_size_is_read() -> None:
    value = b"x" * (MAX_EVENT_BYTES - len(b"data: "))

    assert read(b"data: " + value + b"\n\n", cuts=[7, 4096]) == [value]


def test_a_stream_may_be_longer_than_the_maximum_size_of_an_event() -> None:
    value = b"x" * (MAX_EVENT_BYTES // 2)

    assert read((b"data: " + value + b"\n\n") * 3, cuts=[1000]) == [value] * 3


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n", id="one line"),
        pytest.param(b"data: " + b"x" * MAX_EVENT_BYTES, id="a line without an end"),
        pytest.param(b"data: 0123456789\n" * (MAX_EVENT_BYTES // 10 + 1), id="many lines of one event"),
    ],
)
def test_an_event_that_is_too_long_is_refused(stream: bytes) -> None:
    with pytest.raises(ProviderError):
        read(stream, cuts=[100_000, 500_000])
