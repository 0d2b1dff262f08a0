"""What an upstream's `finish_reason` means. Only a known good end may pass for a whole answer."""

import re
from typing import Any, Literal

from app.core.errors import ProviderError

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

# With these an answer was cut: its last call may be incomplete, and the client has to know.
CUT: frozenset[str] = frozenset({"length", "content_filter"})

# Written as letters only: servers write one word as MAX_TOKENS, max_tokens and MaxTokens.
_STOP = """
stop stopped stopsequence stopstr stoptoken stopword stopstring eos eostoken eosreached endturn endofturn endoftext end
complete completed done finish finished normal success
"""
_CALLS = "toolcalls toolcall tooluse tooluses functioncall functioncalls tools"
_LENGTH = """
length maxtokens maxoutputtokens maxcompletiontokens maxnewtokens maxlength modellength tokenlimit tokenlimitreached
outputlimit contextlength contextwindowexceeded modelcontextwindowexceeded contextlengthexceeded contextlimit errorlimit
timelimit truncated truncation incomplete
"""
_FILTER = """
contentfilter contentfiltered safety recitation blocklist blocked block prohibitedcontent spii language refusal refused
sensitive moderation moderated filtered filter guardrailintervened guardrail guardrails guardrailblocked errortoxic
imagesafety imageprohibitedcontent imagerecitation modelarmor contentpolicy contentpolicyviolation policyviolation toxic
flagged censored
"""
_ABSENT = "null none unspecified notfinished inprogress"
_WORDS: dict[FinishReason, str] = {"stop": _STOP, "tool_calls": _CALLS, "length": _LENGTH, "content_filter": _FILTER}
_MEANINGS = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
_NO_LETTERS = re.compile(r"[^a-z]")
# Parts of words that nobody has listed yet.
_LIKE_A_FILTER = re.compile("filter|safety|block|prohibited|moderat|guardrail|refus|policy")
_LIKE_A_LENGTH = re.compile("max(new|output)?token|maxlen|length|truncat|tokens?limit|contextwindow|contextlimit")
_LIKE_AN_ERROR = re.compile("error|malformed|invalid|fail|cancel|abort|unexpected")


def is_stated(reason: Any) -> bool:
    """Whether a `finish_reason` says anything. Some servers send a text for null in every chunk before the last."""
    return bool(reason) and not (isinstance(reason, str) and _word(reason) in _ABSENT.split())


def finish_reason_of(reason: Any) -> FinishReason:
    """The stated reason as one of OpenAI's.

    Raises:
        ProviderError: it says that the model has failed, or nobody knows what it says.
    """
    word = _word(reason) if isinstance(reason, str) else ""
    meaning = _MEANINGS.get(word)
    if meaning is None and not _LIKE_AN_ERROR.search(word):
        likely: dict[FinishReason, re.Pattern[str]] = {"content_filter": _LIKE_A_FILTER, "length": _LIKE_A_LENGTH}
        meaning = next((each for each, pattern in likely.items() if pattern.search(word)), None)
    if meaning is None:
        raise ProviderError("The model provider ended its answer with an error")
    return meaning


def _word(reason: str) -> str:
    return _NO_LETTERS.sub("", reason.lower()).removeprefix("finishreason")
