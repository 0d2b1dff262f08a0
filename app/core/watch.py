"""Whether a server can be used: found out by probes, remembered for a while, and logged whenever it changes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from app.core.concurrency import cancel_all
from app.core.metrics import STORE_IS_USABLE

logger = logging.getLogger(__name__)

# How often `look` is to be called, and how old its last good finding may be.
LOOK_SECONDS = 5.0
_GOOD_FOR_SECONDS = 30.0
# A probe that takes longer has failed, although its thread may still wait for the response.
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Finding:
    """What a probe has found: `ok` or what is wrong, in a word and in a line for an operator."""

    state: str
    reason: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the server can be used."""
        return self.state == "ok"


OK = Finding("ok")
UNKNOWN = Finding("unknown", "not probed yet")


class Watch:
    """What this process knows of one server. Several may ask at once: there is one probe at a time.

    It is each process's own, and not shared through Redis, because what counts is whether this process can use it.
    """

    def __init__(
        self, store: str, probe: Callable[[], Awaitable[Finding]], *, probe_seconds: float = _PROBE_SECONDS
    ) -> None:
        self._store = store
        self._probe = probe
        self._probe_seconds = probe_seconds
        self._finding = UNKNOWN
        self._was_ok = False
        # When the probe began that led to the finding, by the monotonic clock.
        self._since = float("-inf")
        self._doubted_at = float("-inf")
        self._probing: asyncio.Task[None] | None = None
        # Set if there is a reason to look before it is due.
        self.doubted = asyncio.Event()

    @property
    def finding(self) -> Finding:
        """The last finding, however old."""
        return self._finding

    @property
    def was_ok(self) -> bool:
        """Whether the server could be used at least once since this process began."""
        return self._was_ok

    async def find(self, *, within: float, patience: float = _PROBE_SECONDS) -> Finding:
        """What was found by a probe that began within the last `within` seconds; if there was none, probe.

        Args:
            within: seconds.
            patience: how many seconds to wait for the probe at most; after that the server counts as unavailable.
        """
        if self._is_fresh(within):
            return self._finding
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._run_probe())
        probing = self._probing
        await asyncio.wait({probing}, timeout=min(patience, self._probe_seconds))
        if not probing.done():
            return Finding("unavailable", "the probe has not ended yet")
        probing.result()
        # If something failed there during the probe, it says too little.
        return self._finding if self._since > self._doubted_at else Finding("unavailable", "the last copy failed")

    async def look(self) -> None:
        """Probe if it is time for it. Call it every `LOOK_SECONDS`, and when `doubted` is set."""
        self.doubted.clear()
        await self.find(within=_GOOD_FOR_SECONDS if self._finding.is_ok else 0)

    def doubt(self) -> None:
        """Something has failed there: what was found before does not count any more."""
        self._doubted_at = time.monotonic()
        self.doubted.set()

    async def close(self) -> None:
        """Wait for a running probe to end."""
        if self._probing is not None:
            await cancel_all([self._probing])

    def _is_fresh(self, within: float) -> bool:
        # What could not be used may work again at any time.
        within = within if self._finding.is_ok else min(within, LOOK_SECONDS)
        return self._since > self._doubted_at and time.monotonic() - self._since <= within

    async def _run_probe(self) -> None:
        began = time.monotonic()
        probe = asyncio.ensure_future(self._probe())
        try:
            await asyncio.wait({probe}, timeout=self._probe_seconds)
            if not probe.done():
                self._note(Finding("unavailable", f"no response within {self._probe_seconds:.0f} s"), began)
            self._note(await probe, began)
        finally:
            await cancel_all([probe])

    def _note(self, finding: Finding, began: float) -> None:
        is_news = finding != self._finding
        self._finding, self._since = finding, began
        self._was_ok = self._was_ok or finding.is_ok
        STORE_IS_USABLE.labels(self._store).set(finding.is_ok)
        if not is_news:
            return
        if finding.is_ok:
            logger.info("store_usable", extra={"store": self._store})
        else:
            details = {"store": self._store, "state": finding.state, "reason": finding.reason}
            logger.error("store_unusable", extra=details)


@asynccontextmanager
async def watching(*watches: Watch) -> AsyncIterator[None]:
    """Keep the findings up to date while the block runs."""
    tasks = [asyncio.create_task(_look_for_ever(watch)) for watch in watches]
    try:
        yield
    finally:
        await cancel_all(tasks)


async def _look_for_ever(watch: Watch) -> NoReturn:
    while True:
        try:
            await watch.look()
        except Exception:  # a probe reports what it finds; anything else is a defect, and no reason to stop looking
            logger.exception("probe_failed")
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await watch.doubted.wait()
        except TimeoutError:
            continue
