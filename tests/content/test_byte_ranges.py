import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.content.byte_ranges import RangeNotSatisfiableError, parse_range
from app.storage.protocol import ByteRange

SIZES = st.integers(1, 10**12)
POSITIONS = st.integers(0, 10**12)


@settings(deadline=None)
@given(POSITIONS, POSITIONS, SIZES)
def test_a_range_within_the_file_is_cut_to_it(first: int, more: int, size: int) -> None:
    first %= size

    assert parse_range(f"bytes={first}-{first + more}", size) == ByteRange(first, min(first + more, size - 1))
    assert parse_range(f"bytes={first}-", size) == ByteRange(first, size - 1)


@settings(deadline=None)
@given(st.integers(1, 10**12), SIZES)
def test_a_range_from_the_end_is_at_most_the_whole_file(length: int, size: int) -> None:
    assert parse_range(f"bytes=-{length}", size) == ByteRange(max(0, size - length), size - 1)


@settings(deadline=None)
@given(POSITIONS, SIZES)
def test_a_range_beyond_the_end_is_refused(beyond: int, size: int) -> None:
    with pytest.raises(RangeNotSatisfiableError):
        parse_range(f"bytes={size + beyond}-", size)


@settings(deadline=None)
@given(st.text("0123456789-=, abytes", max_size=30), SIZES)
def test_a_parsed_range_always_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = parse_range(f"bytes={header}", size)
    except RangeNotSatisfiableError:
        return
    assert part is None or 0 <= part.first <= part.last < size


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_a_range_of_an_empty_file_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiableError):
        parse_range(header, 0)


@pytest.mark.parametrize("header", [None, "", "bytes=-", "bytes", "bytes=5-1", "bytes=0-1,2-3", "items=0-1"])
def test_anything_but_a_single_range_means_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 10) is None
