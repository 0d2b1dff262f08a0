"""For whom and by what something was done. It is recorded when it happens and never filled in later."""

import uuid
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What holds, metering events, ledger entries and attempts record of their origin. None: it does not apply.

    Attributes:
        organization_id: who pays.
        user_id: the user who created the API key.
        api_key_id: the API key that the request was sent with.
        agent: the name of the agent.
        model: the name of the model in the catalog. A turn that uses several records that of its first agent.
        session_id: the session's row.
        turn_id: the chat turn.
        request_id: the `X-Request-ID` of the request.
        traceparent: the request's W3C trace context.
    """

    organization_id: str
    user_id: str | None = None
    api_key_id: str | None = None
    agent: str | None = None
    model: str | None = None
    session_id: uuid.UUID | None = None
    turn_id: str | None = None
    request_id: str | None = None
    traceparent: str | None = None

    def values(self) -> tuple[object, ...]:
        """The values of `ATTRIBUTION_COLUMNS`, in order."""
        return tuple(getattr(self, name) for name in ATTRIBUTION_COLUMNS)


ATTRIBUTION_COLUMNS = tuple(field.name for field in fields(Attribution))


def attribution_parameters(first: int) -> str:
    """The parameters of a statement for the values of an attribution, of which the first has this number."""
    return ", ".join(f"${number}" for number in range(first, first + len(ATTRIBUTION_COLUMNS)))
