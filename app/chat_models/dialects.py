"""How upstreams differ in what they accept of OpenAI's protocol, and how a process learns it from their refusals."""

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self, get_args

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import OUTPUT_LIMIT, JsonObject, OutputLimitName, Upstream
from app.chat_models.refusals import host_of

# Of a message, of its calls and of their functions. What else a model's message has was added by its upstream.
_KNOWN_IN_MESSAGES = frozenset(
    {"role", "content", "refusal", "name", "audio", "function_call", "tool_calls", "tool_call_id"}
    | {"index", "id", "type", "function", "arguments"}
)

_UNKNOWN = re.compile(
    r"unsupported|(not|n't|no longer|never) (be )?(currently |yet )?(support|recogni|implement|permit|accept|allow)"
    r"|unknown|unrecogni[sz]ed|unexpected|extra[ _](inputs?|fields?|param|forbidden)|additional propert|extraneous"
    r"|no such (field|parameter)|cannot find field|(not a |in)valid (field|parameter|argument|property|key)"
    r"|deprecated|illegal|(is|are) not valid|(not|n't) be (included|sent|passed|specified|set|used|combined|present)"
    # Those that take one value of a parameter only: it may as well be left out.
    r"|(can|may|must)(not|n't)? (only |both )?be (both )?(specified|set|used|combined)"
    r"|only \S+ (is|are) (support|allow|accept)"
    r"|no (endpoints?|providers?|models?) (were )?found that support",
    re.IGNORECASE,
)
# A limit of an unacceptable size is refused too, in similar words. Sent under the other name it would be no better.
_TOO_LARGE = re.compile(r"too (large|high|long|big)|at most|maximum|exceed|less than|greater than", re.IGNORECASE)
# A request is nothing without them. They are also words of every language, as are some that may be left out.
_ESSENTIAL = frozenset({"model", "messages", "tools"})
_WORDS = _ESSENTIAL | {"stream", "stop", "user", "seed", "store", "n", "metadata", "functions", "prediction", "content"}
_STREAMING = re.compile(
    r"['\"`]stream['\"`]|\bstreaming (responses? )?(is|are) (not|n't|unsupported)|(not|n't) (yet )?support streaming",
    re.IGNORECASE,
)
_MOST_LEARNED = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dialect:
    """How requests for one model of one upstream are worded.

    Attributes:
        output_limit_name: the parameter that limits the length of an answer.
        left_out: parameters that are not sent, unless the client of the API has set them.
        left_out_of_messages: fields that are not sent in the messages of models.
    """

    output_limit_name: OutputLimitName
    left_out: frozenset[str] = frozenset()
    left_out_of_messages: frozenset[str] = frozenset()

    def request(self, body: JsonObject, of_client: Collection[str] = (), *, is_streamed: bool) -> JsonObject:
        """The request for this body; see `ChatModelClient`."""
        left_out = {"stream", "stream_options"} | (self.left_out - {*of_client})
        request = {name: value for name, value in body.items() if name not in left_out}
        if OUTPUT_LIMIT in request:
            request[self.output_limit_name] = request.pop(OUTPUT_LIMIT)
        if self.left_out_of_messages:
            request["messages"] = [_without(message, self.left_out_of_messages) for message in body["messages"]]
        # Of a model that cannot stream the whole answer is one delta.
        if is_streamed and "stream" not in self.left_out:
            request["stream"] = True
            if "stream_options" not in self.left_out:
                request["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return request

    def after(self, refused: UpstreamRejectedError, request: JsonObject, of_client: Collection[str] = ()) -> Self:
        """The dialect to try if this request was refused like this: the same one if that would be no better."""
        added = frozenset(_added_to_messages(request.get("messages")))
        name = _refused_name(refused, {*request, *added})
        if name in added and name not in request:
            return replace(self, left_out_of_messages=self.left_out_of_messages | {name})
        if name is None or name in _ESSENTIAL:
            return self
        if name == self.output_limit_name:
            (other,) = {*get_args(OutputLimitName)} - {name}
            return replace(self, output_limit_name=other)
        return self if name in of_client else replace(self, left_out=self.left_out | {name})


class Dialects:
    """The dialects that this process has learned; at most one for each chat model of the catalog, and 1000 in all."""

    def __init__(self) -> None:
        self._learned: dict[tuple[Upstream, str], Dialect] = {}

    def of(self, upstream: Upstream, body: JsonObject) -> Dialect:
        """The dialect in which to send this body: the one that was accepted last, or what the operator has set."""
        return self._learned.get(_key(upstream, body)) or Dialect(upstream.output_limit_name)

    def learn(self, upstream: Upstream, body: JsonObject, dialect: Dialect) -> None:
        """Note that the upstream has accepted this body in this dialect."""
        if dialect == self.of(upstream, body):
            return
        if len(self._learned) >= _MOST_LEARNED:
            del self._learned[next(iter(self._learned))]
        self._learned[_key(upstream, body)] = dialect
        details = {
            "upstream": host_of(upstream),
            "model": body.get("model"),
            "output_limit_name": dialect.output_limit_name,
            "left_out": sorted(dialect.left_out | dialect.left_out_of_messages),
        }
        logger.info("upstream_dialect_learned", extra=details)


def _key(upstream: Upstream, body: JsonObject) -> tuple[Upstream, str]:
    return upstream, str(body.get("model"))


def _refused_name(refused: UpstreamRejectedError, names: Collection[str]) -> str | None:
    """Which of these names the upstream refuses itself, whatever its value. None if the refusal is about other things.

    If it names several, the first is meant: others are often suggested instead.
    """
    said = f"{refused.upstream_code or ''} {refused.text}"
    if not _UNKNOWN.search(said) or _TOO_LARGE.search(said):
        return None
    return _first_named(refused.param, names) if refused.param else _first_named(said, names)


def _first_named(text: str, names: Collection[str]) -> str | None:
    """The name that stands first in the text. One that is an ordinary word counts only in quotes or as a whole text."""
    if text in names:
        return text
    found = {}
    for name in names:
        if match := _pattern_of(name).search(text):
            found[name] = match.start()
    return min(found, key=lambda name: found[name], default=None)


@lru_cache(maxsize=256)
def _pattern_of(name: str) -> re.Pattern[str]:
    if name == "stream":
        return _STREAMING
    if name in _WORDS or "_" not in name:
        return re.compile(rf"['\"`]{re.escape(name)}['\"`]" if name in _WORDS else rf"(?<!\w){re.escape(name)}(?!\w)")
    # Some servers write `MaxTokens`.
    return re.compile(rf"(?<!\w){re.escape(name).replace('_', '_?')}(?!\w)", re.IGNORECASE)


def _added_to_messages(messages: Any) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") != "assistant":
            continue
        for part in (message, *_calls_of(message)):
            yield from (name for name in part if name not in _KNOWN_IN_MESSAGES)


def _calls_of(message: JsonObject) -> Iterator[JsonObject]:
    """The calls of a message, and the functions in them."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            yield call
            if isinstance(call.get("function"), dict):
                yield call["function"]


def _without(message: Any, names: frozenset[str]) -> Any:
    """A model's message without these fields, in its calls too. Any other message is as it was."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    kept = _except(message, names)
    if isinstance(kept.get("tool_calls"), list):
        kept["tool_calls"] = [_call_without(call, names) for call in kept["tool_calls"]]
    return kept


def _call_without(call: Any, names: frozenset[str]) -> Any:
    if not isinstance(call, dict):
        return call
    kept = _except(call, names)
    function = kept.get("function")
    return {**kept, "function": _except(function, names)} if isinstance(function, dict) else kept


def _except(fields: JsonObject, names: frozenset[str]) -> JsonObject:
    return {name: value for name, value in fields.items() if name not in names}
