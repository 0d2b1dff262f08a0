"""Models that refuse tools, as small ones do, and servers that were started without them."""

import re

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import JsonObject

_OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
# In the words of Ollama, vLLM, OpenRouter and servers that refuse fields which they do not know. Those of an invalid
# tool are others.
_REFUSES_TOOLS = re.compile(
    r"(not|n't) (currently |yet )?support\w*\b.{0,40}\b(tools?|function.call)"
    r"|\b(tools?|function.call\w*)\b.{0,60}(not|n't) (be )?(currently |yet )?(support|permit|allow|enabled|implement)"
    r"|no (endpoints?|providers?|models?) (were )?found that support.{0,40}\btool|(cannot|can't|unable to) use tools"
    r"|\btools?\b.{0,60} only (support|allow|available)|\btools\b.{0,20} requires --jinja"
    r"|(unsupported|unknown|unexpected|unrecogni[sz]ed|extra|not permitted).{0,40}\b(tools|tool_choice)\b"
    r"|\b(tools|tool_choice)\b.{0,40}(unsupported|unknown|unexpected|unrecogni[sz]ed|extra)"
    r"|enable-auto-tool-choice",
    re.IGNORECASE | re.DOTALL,
)


def refuses_tools(error: UpstreamRejectedError) -> bool:
    """Whether the upstream refuses a request because it has tools, whatever they are."""
    return _REFUSES_TOOLS.search(f"{error.text} {error.param or ''}") is not None


def without_tools(body: JsonObject) -> JsonObject:
    """The body of a model call without tools, and without what only belongs to tools."""
    return {name: value for name, value in body.items() if name not in _OF_TOOLS}
