import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from app.core.errors import ServiceUnavailableError

# For what somebody waits for who is not to notice it.
_PATIENCE_SECONDS: Final = 0.002
# What is written at once is one statement, whose time others wait.
_MOST_AT_ONCE: Final = 100

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass
class _Group(Generic[_Item, _Answer]):
    """What waits to be written together, and whoever waits for the answers."""

    items: list[_Item] = field(default_factory=list)
    answers: list[asyncio.Future[_Answer]] = field(default_factory=list)


class GroupCommit(Generic[_Key, _Item, _Answer]):
    """Writes together what arrives together, each group in one transaction, and tells each its own answer.

    What arrives while nothing of its key is being written is written with all that arrives in the same turn of the
    event loop. What arrives later waits until that is written, for a moment at most. So nobody waits if nobody else is
    there, and the busier the process is, the larger the groups are.

    Args:
        write: writes a group in one transaction. It returns None if it has written nothing of it, because one alone
            has to be refused; otherwise the answers in the same order.
        write_alone: writes one item in a transaction of its own, if its group could not be written.
        patience_seconds: how long something waits for what is being written before it. Then it is written beside that.
    """

    def __init__(
        self,
        write: Callable[[_Key, Sequence[_Item]], Awaitable[Sequence[_Answer] | None]],
        write_alone: Callable[[_Key, _Item], Awaitable[_Answer]],
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._write = write
        self._write_alone = write_alone
        self._patience_seconds = patience_seconds
        self._waiting: dict[_Key, _Group[_Item, _Answer]] = {}
        self._writing: dict[_Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, key: _Key, item: _Item) -> _Answer:
        """Write an item. Once it is submitted, it is written even if this is cancelled.

        Raises:
            ServiceUnavailableError: Postgres is away; it is not known whether the item was written.
            Exception: what writing this item alone has raised.
        """
        loop = asyncio.get_running_loop()
        group = self._waiting.get(key)
        if group is None:
            group = self._waiting[key] = _Group()
            if key in self._writing:
                loop.call_later(self._patience_seconds, self._begin, key, group)
            else:
                loop.call_soon(self._begin, key, group)
        answer: asyncio.Future[_Answer] = loop.create_future()
        group.items.append(item)
        group.answers.append(answer)
        if len(group.items) == _MOST_AT_ONCE:
            self._begin(key, group)
        return await answer

    def _begin(self, key: _Key, group: _Group[_Item, _Answer]) -> None:
        """Begin to write a group, unless that was begun before."""
        if self._waiting.get(key) is not group:
            return
        del self._waiting[key]
        self._writing[key] = self._writing.get(key, 0) + 1
        # In the context of whoever has asked first: with its share of the connections, as all are of one organization.
        task = asyncio.create_task(self._write_group(key, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_group(self, key: _Key, group: _Group[_Item, _Answer]) -> None:
        try:
            await self._answer(key, group)
        except BaseException:  # raised again; nobody waits for ever
            for waiting in group.answers:
                waiting.cancel()
            raise
        finally:
            self._writing[key] -= 1
            if not self._writing[key]:
                del self._writing[key]
            if following := self._waiting.get(key):
                self._begin(key, following)

    async def _answer(self, key: _Key, group: _Group[_Item, _Answer]) -> None:
        try:
            answers = await self._write(key, group.items) if len(group.items) > 1 else None
        except ServiceUnavailableError as error:
            # That is nobody's own fault, and a second try could not know what the first has done.
            for waiting in group.answers:
                _fail(waiting, _same(error))
            return
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is written alone
            answers = None
        if answers is None:
            for item, waiting in zip(group.items, group.answers, strict=True):
                await self._answer_alone(key, item, waiting)
            return
        for answer, waiting in zip(answers, group.answers, strict=True):
            _tell(waiting, answer)

    async def _answer_alone(self, key: _Key, item: _Item, waiting: asyncio.Future[_Answer]) -> None:
        try:
            _tell(waiting, await self._write_alone(key, item))
        except Exception as error:  # noqa: BLE001 - it is raised where the item was submitted
            _fail(waiting, error)


def _tell(waiting: asyncio.Future[_Answer], answer: _Answer) -> None:
    if not waiting.done():
        waiting.set_result(answer)


def _fail(waiting: asyncio.Future[_Answer], error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)


def _same(error: ServiceUnavailableError) -> ServiceUnavailableError:
    """The error once more, because each is changed on its way to its client."""
    same = copy(error)
    same.__cause__ = error
    return same
