"""How attempts to sign in are slowed down. None is refused because of others: with the right password one gets in."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

from app.accounts.errors import SignInSlowedError

FREE_TRIES = 5
_LONGEST_DELAY = 8.0
# How many attempts wait at once: of one address or one known browser, and of a process.
_MOST_OF_ONE = 10
_MOST_OF_ALL = 500


@dataclass(frozen=True)
class Failures:
    """What has failed of late.

    Attributes:
        account: attempts to sign in as the same user, from anywhere.
        address: attempts from the same address, as anybody.
        address_limit: how many of these are not slowed down. People behind one address have one count.
        device: attempts of this browser as this user, if the user has signed in with it before. Only these count then,
            so that nobody can slow down somebody else who uses the browser they always use.
    """

    account: int
    address: int
    address_limit: int
    device: int | None = None

    def with_one_more(self) -> "Failures":
        """The same after one more failure of this user, address and browser."""
        device = None if self.device is None else self.device + 1
        return replace(self, account=self.account + 1, address=self.address + 1, device=device)

    @property
    def tries_left(self) -> int:
        """How many further attempts are not slowed down."""
        if self.device is not None:
            return max(FREE_TRIES - self.device, 0)
        return max(min(FREE_TRIES - self.account, self.address_limit - self.address), 0)

    @property
    def delay_seconds(self) -> float:
        """How long the next attempt waits before its password is looked at."""
        if self.device is not None:
            over = self.device - FREE_TRIES
        else:
            over = max(self.account - FREE_TRIES, self.address - self.address_limit)
        return 0.0 if over < 0 else min(2.0 ** min(over, 10), _LONGEST_DELAY)


class WaitingAttempts:
    """The attempts that wait in one process. Waiting costs nothing but the connection.

    `address_limit` is how many failures of one address, as anybody, do not slow it down.
    """

    def __init__(self, address_limit: int) -> None:
        self.address_limit = address_limit
        self._of: Counter[str] = Counter()

    async def wait(self, lane: str, seconds: float) -> None:
        """Wait in a lane: an address, or a known browser.

        Raises:
            SignInSlowedError: too many wait in it already, or in all of them together.
        """
        if seconds <= 0:
            return
        if self._of[lane] >= _MOST_OF_ONE or self._of.total() >= _MOST_OF_ALL:
            raise SignInSlowedError(seconds)
        self._of[lane] += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._of[lane] -= 1
            if not self._of[lane]:
                del self._of[lane]
