"""What clients have seen of one request each."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
import orjson

NO_RESPONSE = 0


@dataclass(frozen=True)
class Outcome:
    """One request, as its client saw it.

    Attributes:
        kind: what was asked for: `chat`, `stream`, `keyed`, `generation` or `credits`.
        marker: the conversation that the request was for. Repeats of a request have the same one.
        began: by the monotonic clock.
        ended: by the monotonic clock.
        status: of the response; 0 if there was none.
        code: of the error; `cut off` if a stream had no end.
        repeat: what SDKs are told: `after N s`, `no`, or nothing.
        text: of the answer.
        contents: what the answer has made, by id.
    """

    kind: str
    marker: str
    began: float
    ended: float
    status: int = NO_RESPONSE
    code: str = ""
    repeat: str = ""
    text: str = ""
    contents: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the client got all that it had asked for."""
        return self.status == 200 and not self.code

    @property
    def shown(self) -> str:
        """Status, code, and whether SDKs repeat it."""
        where = "within the stream" if self.status == 200 and self.code else str(self.status or "no response")
        return " ".join(part for part in (where, self.code, f"(repeat: {self.repeat})" if self.repeat else "") if part)


def refusals(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How often clients were told what, of all that did not go well."""
    return dict(Counter(outcome.shown for outcome in outcomes if not outcome.is_good).most_common())


def first_good(outcomes: Iterable[Outcome], since: float, *kinds: str) -> float | None:
    """Seconds from a moment to the first good response of these kinds to a request that began after it."""
    ends = [
        outcome.ended for outcome in outcomes if outcome.began >= since and outcome.is_good and outcome.kind in kinds
    ]
    return min(ends) - since if ends else None


def longest(outcomes: Iterable[Outcome], kind: str) -> float | None:
    """Seconds of the slowest request of a kind; None if there was none."""
    return max((outcome.ended - outcome.began for outcome in outcomes if outcome.kind == kind), default=None)


def outcome_of(response: httpx.Response, raw: bytes, *, kind: str, marker: str, began: float, ended: float) -> Outcome:
    """What a response to a chat request says, streamed or not."""
    headers = response.headers
    repeat = "no" if headers.get("x-should-retry") == "false" else ""
    if not repeat and "retry-after" in headers:
        repeat = f"after {headers['retry-after']} s"
    is_stream = headers.get("content-type", "").startswith("text/event-stream")
    code, text, contents = _streamed(raw) if is_stream else _whole(response.status_code, raw)
    return Outcome(kind, marker, began, ended, response.status_code, code, repeat, text, contents)


def _whole(status: int, raw: bytes) -> tuple[str, str, tuple[str, ...]]:
    body = orjson.loads(raw) if raw else {}
    if status != 200:
        return str(body.get("error", {}).get("code", "no code")), "", ()
    if "choices" not in body:
        return "", "", ()
    return "", str(body["choices"][0]["message"]["content"]), _contents(body)


def _streamed(raw: bytes) -> tuple[str, str, tuple[str, ...]]:
    events = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: ")]
    is_whole = bool(events) and events[-1] == b"[DONE]"
    chunks = [orjson.loads(event) for event in events if event != b"[DONE]" and event.endswith(b"}")]
    error = next((str(chunk["error"]["code"]) for chunk in chunks if chunk.get("error")), "")
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    text = "".join(delta.get("content") or "" for delta in deltas)
    made = tuple(content for chunk in chunks for content in _contents(chunk))
    return error or ("" if is_whole else "cut off"), text, tuple(dict.fromkeys(made))


def _contents(body: dict[str, object]) -> tuple[str, ...]:
    made = body.get("generated_content")
    items = made if isinstance(made, list) else [made]
    return tuple(str(item["id"]) for item in items if isinstance(item, dict) and "id" in item)
