"""For how long what is kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from app.core.settings import Settings
from app.retention.models import Kind


@dataclass(frozen=True)
class RetentionPolicy:
    """For how long after their last use rows are kept. None: for ever.

    Keys for repeating requests are not among them: how long they live is part of the API. Nor are files that were sent
    for generations: they live as long as an attempt may need them.

    Attributes:
        sessions: sessions with their messages.
        metering: metering events and ended holds.
        webhooks: events that organizations were told of, with their deliveries.
    """

    sessions: timedelta | None = None
    metering: timedelta | None = None
    webhooks: timedelta | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy that the settings ask for."""
        return cls(
            _days(settings.retain_sessions_days),
            _days(settings.retain_metering_days),
            _days(settings.retain_webhooks_days),
        )

    def prunes(self, kind: Kind) -> bool:
        """Whether rows of a kind are ever deleted."""
        kept = {Kind.SESSIONS: self.sessions, Kind.METERING: self.metering, Kind.WEBHOOKS: self.webhooks}
        return kind not in kept or kept[kind] is not None


def _days(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None
