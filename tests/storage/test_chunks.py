from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from app.storage.chunks import in_parts


@settings(deadline=None)
@given(chunks=st.lists(st.binary(max_size=40)), size=st.integers(1, 50))
async def test_parts_hold_all_bytes_in_order_and_only_the_last_may_be_short(chunks: list[bytes], size: int) -> None:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    parts = [part async for part in in_parts(source(), size)]

    assert b"".join(parts) == b"".join(chunks)
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts[-1:])
