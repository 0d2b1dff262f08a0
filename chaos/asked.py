"""What the clients of a run have sent and received."""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

NO_RESPONSE = "no response"


@dataclass(frozen=True)
class Sent:
    """One HTTP request of a chat, from `at` to `until` in seconds after the beginning.

    Attributes:
        marker: Stands in the chat's messages, so that it reaches the vendor. All tries with one Idempotency-Key share
            theirs; any other try has its own.
        api: The API process that it was sent to.
        status: Of the response; None without one.
    """

    marker: str
    api: str
    at: float
    until: float
    status: int | None

    @property
    def was_told_to_have_failed(self) -> bool:
        """Whether the client knows that it got no answer."""
        return self.status is not None and self.status >= HTTPStatus.BAD_REQUEST


@dataclass(frozen=True)
class Delivery:
    """An answer, or a part of one, that a client has received.

    Attributes:
        marker: As in `Sent`.
        organization_id: Whose chat it is.
        turn: The turn's hold, as the id of the answer names it.
        is_complete: Whether it had its end.
        size: UTF-8 bytes of its text.
        contents: The generations that it names.
        is_replayed: Whether it was the stored response of an earlier request.
    """

    marker: str
    organization_id: str
    turn: str
    is_complete: bool
    size: int
    contents: tuple[str, ...] = ()
    is_replayed: bool = False


@dataclass
class Asked:
    """The results of all requests.

    Attributes:
        sent: Every request of a chat.
        delivered: Every answer.
        answers: How often each kind of request had each status.
        poor: How often a request, a tool or a retry was refused for want of credits.
        never_answered: The numbers of the requests that no try succeeded for.
    """

    sent: list[Sent] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    poor: Counter[str] = field(default_factory=Counter)
    never_answered: list[int] = field(default_factory=list)

    def count(self, way: str, status: int | None) -> None:
        """Count a response, or that there was none."""
        self.answers[f"{way}: {NO_RESPONSE if status is None else status}"] += 1

    @property
    def contents(self) -> set[str]:
        """The generations that answers have named."""
        return {content_id for delivery in self.delivered for content_id in delivery.contents}
