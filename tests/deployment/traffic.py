"""Chats that go on while something happens to the stack."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import httpx

from tests.deployment.visitor import Visitor

# What a response that never came counts as.
DROPPED: Final = 0
_TEXTS = ("Say hello", "Draw a lighthouse at dusk", "Count to three", "Say goodbye")


class Load:
    """Outcomes of chats that were asked for."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._responses: list[httpx.Response | None] = []

    def ask(self, number: int) -> None:
        """Ask once and keep what comes; every fourth chat asks for a picture."""
        try:
            self._responses.append(self._visitor.chat(_TEXTS[number % len(_TEXTS)]))
        except httpx.TransportError:
            self._responses.append(None)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status came; DROPPED: no response."""
        return Counter(DROPPED if response is None else response.status_code for response in self._responses)

    @property
    def accepted(self) -> list[str]:
        """The ids of the pictures that were promised."""
        answered = [response for response in self._responses if response is not None and response.status_code == 200]
        return [made["id"] for response in answered for made in response.json().get("generated_content", [])]


@contextmanager
def chats(visitor: Visitor, *, per_second: float) -> Iterator[Load]:
    """Ask for chats at this rate during the block; when it has ended, all of them have too."""
    load = Load(visitor)
    ended = threading.Event()
    with ThreadPoolExecutor(64) as threads:

        def ask_on() -> None:
            began = time.monotonic()
            number = 0
            while not ended.wait(max(0.0, began + number / per_second - time.monotonic())):
                threads.submit(load.ask, number)
                number += 1

        asking = threading.Thread(target=ask_on)
        asking.start()
        try:
            yield load
        finally:
            ended.set()
            asking.join()
