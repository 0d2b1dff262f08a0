from collections.abc import Mapping, Sequence

from app.agents.definition import AgentDefinition
from app.agents.runtime.model_call_body import has_file
from app.catalog.service import PricedModel
from app.chat_models.protocol import JsonObject
from app.core.errors import InvalidRequestError


def refuse_unreadable_files(
    agent: AgentDefinition,
    models: Mapping[str, PricedModel],
    sent: Sequence[JsonObject],
    read: Sequence[JsonObject],
) -> None:
    """Check that every model that reads the conversation takes files, if there are any.

    Args:
        agent: the agent that answers.
        models: the models of its agents, by name.
        sent: the messages of the request.
        read: what the agent reads: these, and what the session remembers.

    Raises:
        InvalidRequestError: one does not. Nobody could say what a file costs there, or whether it is read at all.
    """
    unable = min((each.model for each in agent.readers() if models[each.model].file_tokens is None), default=None)
    if unable is None:
        return
    reason = f"the model {unable} takes no files; its operator can allow them by file_tokens in the catalog"
    for index, message in enumerate(sent):
        if has_file(message):
            param = f"messages.{index}.content"
            raise InvalidRequestError(f"{param}: {reason}", param=param)
    if any(has_file(message) for message in read):
        raise InvalidRequestError(f"The conversation has a file, and {reason}", param="messages")
