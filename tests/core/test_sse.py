import json

import pytest

from app.core.sse import frame


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_an_event_is_one_line_whatever_counts_as_the_end_of_one(character: str) -> None:
    data = {f"a{character}b": [f"{character}{character}", "é\\u2028"]}

    event = frame(data)

    assert len(event.decode().splitlines()) == 2  # the data, and the blank line that ends the event
    assert json.loads(event.decode().removeprefix("data: ")) == data
