"""The loads that subjects are measured under."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.turn_cost.load import Order
from bench.turn_cost.twin import TOOLED

HISTORY = 50
_SESSIONS = 200
_PAUSE_MILLISECONDS = 10
_SAYING = "How many ships passed the lighthouse last night, and which of them did not answer its signal? "


@dataclass(frozen=True)
class Load:
    """One kind of request, from so many clients at once.

    Attributes:
        name: what `--only` calls it.
        about: what tables call it.
        connections: how many clients there are.
        body: what every request has in addition to its messages; all of it, if the path is another one.
        path: another path than that of chats; requests to it without a body are GETs.
        status: the status of every response.
        key: whose key it is: `unlimited`, `refused`, or none.
        times_longer: than other loads, because its requests take their time.
        has_keys: whether every request has an `Idempotency-Key` of its own.
        model_calls: how often every request calls the model.
        has_history: whether every request continues a session of `HISTORY` messages.
    """

    name: str
    about: str
    connections: int
    body: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    status: int = 200
    key: str = "unlimited"
    model_calls: int = 1
    times_longer: int = 1
    has_keys: bool = False
    has_history: bool = False

    @property
    def least_messages(self) -> int:
        """How many messages the model gets at least, all its calls together."""
        return self.model_calls + (HISTORY if self.has_history else 0)

    @property
    def is_streamed(self) -> bool:
        """Whether the responses are streams."""
        return bool(self.body.get("stream"))


_STREAM: Mapping[str, Any] = {"stream": True}
CALLS = tuple(Load(f"call-{count}", "call", count) for count in (1, 10, 50, 200))
STREAMS = tuple(Load(f"stream-{count}", "stream", count, _STREAM) for count in (1, 10, 100))
PACED = (
    Load(
        "paced-10",
        f"stream, a piece every {_PAUSE_MILLISECONDS} ms",
        10,
        {**_STREAM, "seed": _PAUSE_MILLISECONDS},
        times_longer=3,
    ),
)
RESPONSES = (
    Load(
        "responses-stream-10",
        "stream of the Responses API",
        10,
        {**_STREAM, "model": "junis-orchestrator", "input": f"{_SAYING}0"},
        path="/api/external/v1/responses",
    ),
)
EXTRAS = (
    Load("key-10", "with an `Idempotency-Key`", 10, has_keys=True),
    Load("history-10", f"after {HISTORY} messages", 10, has_history=True),
    Load("tool-10", "with one call of a server tool", 10, {"model": TOOLED}, model_calls=2),
)
GUARDS = (
    Load("models-10", "`GET /v1/models` with a key", 10, path="/api/external/v1/models", model_calls=0),
    Load(
        "unknown-10",
        "a path that does not exist, without a key: 404",
        10,
        path="/nothing",
        status=404,
        key="",
        model_calls=0,
    ),
    Load("refused-10", "a chat above the limit: 429", 10, status=429, key="refused", model_calls=0),
)
ALL = (*CALLS, *STREAMS, *RESPONSES, *PACED, *EXTRAS, *GUARDS)


def order_of(load: Load, host: str, port: int, *, path: str, key: str, seconds: float) -> Order:
    """The load on a server with this path for chats, with this API key."""
    return Order(
        host=host,
        port=port,
        method="GET" if load.path and not load.body else "POST",
        path=load.path or path,
        headers={"authorization": f"Bearer {key}"} if key else {},
        bodies=_bodies_of(load),
        connections=load.connections,
        seconds=seconds * load.times_longer,
        status=load.status,
        is_streamed=load.is_streamed,
        has_keys=load.has_keys,
    )


def _bodies_of(load: Load) -> list[dict[str, Any]]:
    if load.path:
        return [dict(load.body)] if load.body else []
    return [{"model": "junis-orchestrator", "messages": [_said(0)], **load.body}]


def conversation() -> list[dict[str, Any]]:
    """What makes a session of `HISTORY` messages when it is answered."""
    return [_said(number) for number in range(HISTORY - 1)]


def sessions_wanted() -> int:
    """How many sessions a load with history continues in turn, so that none of them grows by much."""
    return _SESSIONS


def _said(number: int) -> dict[str, Any]:
    return {"role": "assistant" if number % 2 else "user", "content": f"{_SAYING}{number}"}
