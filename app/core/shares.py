"""An organization's share of the connection pool, so that one whose transactions wait does not stop all others."""

from asyncio import Semaphore
from contextvars import ContextVar
from weakref import WeakValueDictionary

# The organization for which the current request runs. Tasks that the request starts inherit it, so that none of its
# transactions can be forgotten.
organization_var: ContextVar[str | None] = ContextVar("organization", default=None)


class Shares:
    """Counts the transactions of each organization in this process: half of the pool's connections are its share."""

    def __init__(self, pool_size: int) -> None:
        self._size = max(1, pool_size // 2)
        # An entry lives as long as a transaction of its organization has it or waits for it.
        self._shares: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()

    def current(self) -> Semaphore | None:
        """What the current organization's transactions acquire before a connection; None for work of no request."""
        organization = organization_var.get()
        if organization is None:
            return None
        return self._shares.setdefault(organization, Semaphore(self._size))
