"""What an answer shows of the generations that its turn requested, if the client's tools are called besides.

Otherwise the model itself says what its tools have made. Here it cannot, because the turn ends with the call.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.agents.runtime.agent_run import Said
from app.agents.runtime.events import BETWEEN_TEXTS, Finished
from app.chat.turns.result import TurnContent
from app.generations.media_types import ContentType
from app.generations.states import Status

# What stands before the URL of a file, in Markdown. Only images are shown in place.
_LABELS = {
    ContentType.IMAGE: "![image]",
    ContentType.VIDEO: "[video]",
    ContentType.AUDIO: "[audio]",
    ContentType.GLB: "[3D model]",
    ContentType.OTHER: "[file]",
}


def missing_links(answer: Finished, contents: Sequence[TurnContent]) -> str:
    """The text that tells of the generations that the answer does not mention. Empty if it calls no client's tool."""
    if not answer.message.get("tool_calls"):
        return ""
    shown = [_shown(each) for each in contents if (each.url or each.id) not in answer.text]
    text = BETWEEN_TEXTS.join(shown)
    return BETWEEN_TEXTS + text if text and answer.text else text


def with_links(answer: Finished, links: str) -> Finished:
    """The answer with these links at the end of its text."""
    return replace(answer, message=answer.message | {"content": answer.text + links}) if links else answer


def transcript_with_links(messages: Sequence[Said], links: str) -> Sequence[Said]:
    """The messages of a turn with the links at the end of the one that calls the client's tools."""
    if not links:
        return messages
    last = max(index for index, (agent, message) in enumerate(messages) if agent and message.get("tool_calls"))
    agent, message = messages[last]
    # The links begin with a separation from the texts of earlier calls, too. Those are messages of their own.
    text = (message.get("content") or "") + links
    changed = (agent, {**message, "content": text if message.get("content") else text.removeprefix(BETWEEN_TEXTS)})
    return [*messages[:last], changed, *messages[last + 1 :]]


def _shown(content: TurnContent) -> str:
    if content.url is None:
        state = "has failed" if content.status is Status.FAILED else "has not ended yet"
        return f"(The generation of content {content.id} {state}.)"
    label = _LABELS[content.content_type or ContentType.OTHER]
    return BETWEEN_TEXTS.join(f"{label}({url})" for url in (content.url, *content.further_urls))
