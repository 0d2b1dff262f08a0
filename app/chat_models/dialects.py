"""How upstreams differ in what they accept of OpenAI's protocol, and how a process learns it from their refusals."""

import logging
import re
from dataclasses import asdict, dataclass, replace
from typing import Self, get_args

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import OUTPUT_LIMIT, JsonObject, OutputLimitName, Upstream
from app.chat_models.refusals import host_of

_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|extra[ _](inputs|forbidden)|additional propert"
    r"|not permitted|not allowed|no such (field|parameter)|cannot find field|not a valid (field|parameter|argument)",
    re.IGNORECASE,
)
# A limit of an unacceptable size is refused too, in similar words. Sent under the other name it would be no better.
_TOO_LARGE = re.compile(r"too (large|high|long|big)|at most|maximum|exceed|less than|greater than", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dialect:
    """How requests for one model of one upstream are worded.

    Attributes:
        output_limit_name: the parameter that limits the length of an answer.
        takes_stream_options: whether a stream may be asked for its usage.
    """

    output_limit_name: OutputLimitName
    takes_stream_options: bool = True

    def request(self, body: JsonObject, *, is_streamed: bool) -> JsonObject:
        """The request for this body; see `ChatModelClient`."""
        request = {name: value for name, value in body.items() if name not in {"stream", "stream_options"}}
        if OUTPUT_LIMIT in request:
            request[self.output_limit_name] = request.pop(OUTPUT_LIMIT)
        if is_streamed:
            request["stream"] = True
            if self.takes_stream_options:
                request["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return request

    def after(self, refused: UpstreamRejectedError) -> Self:
        """The dialect to try if a request was refused like this: the same one if the refusal is about other things."""
        if self.takes_stream_options and _is_unknown("stream_options", refused):
            return replace(self, takes_stream_options=False)
        if _is_unknown(self.output_limit_name, refused):
            (other,) = {*get_args(OutputLimitName)} - {self.output_limit_name}
            return replace(self, output_limit_name=other)
        return self


class Dialects:
    """The dialects that this process has learned; at most one for each chat model of the catalog."""

    def __init__(self) -> None:
        self._learned: dict[tuple[Upstream, str], Dialect] = {}

    def of(self, upstream: Upstream, body: JsonObject) -> Dialect:
        """The dialect in which to send this body: the one that was accepted last, or what the operator has set."""
        return self._learned.get(_key(upstream, body)) or Dialect(upstream.output_limit_name)

    def learn(self, upstream: Upstream, body: JsonObject, dialect: Dialect) -> None:
        """Note that the upstream has accepted this body in this dialect."""
        if dialect != self.of(upstream, body):
            self._learned[_key(upstream, body)] = dialect
            details = {"upstream": host_of(upstream), "model": body.get("model")}
            logger.info("upstream_dialect_learned", extra=details | asdict(dialect))


def _key(upstream: Upstream, body: JsonObject) -> tuple[Upstream, str]:
    return upstream, str(body.get("model"))


def _is_unknown(name: str, refused: UpstreamRejectedError) -> bool:
    """Whether the upstream refuses the parameter itself, whatever its value."""
    said = f"{refused.upstream_code or ''} {refused.text}"
    is_named = name == refused.param or re.search(rf"\b{name}\b", said) is not None
    return is_named and _UNKNOWN.search(said) is not None and _TOO_LARGE.search(said) is None
