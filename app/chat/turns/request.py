from collections.abc import Sequence
from dataclasses import dataclass

from app.api_keys.caller import Caller
from app.chat.turns.targets import Target
from app.chat_models.protocol import JsonObject
from app.idempotency.service import IdempotentRequest


@dataclass(frozen=True)
class TurnRequest:
    """What a client asks of a turn, whichever protocol it speaks.

    Attributes:
        caller: who asks.
        target: the agent that is asked.
        messages: the client's new messages, in the form in which chat models read them.
        client_tools: tools that the client runs itself.
        parameters: parameters for the model calls, such as `temperature`.
        is_streamed: whether the client wants the answer as it arrives.
        session_name: the name of a session that must exist.
        conversation_name: the client's own name for a session, which is created if it does not exist.
        idempotent: the request as one that is to run once, if it has an Idempotency-Key.
    """

    caller: Caller
    target: Target
    messages: Sequence[JsonObject]
    client_tools: Sequence[JsonObject]
    parameters: JsonObject
    is_streamed: bool
    session_name: str | None
    conversation_name: str | None
    idempotent: IdempotentRequest | None
