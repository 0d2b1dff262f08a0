"""Errors of Postgres that may be gone a little later: each is counted and logged, and a full disk is remembered."""

import logging
from time import monotonic
from typing import Final

from app.core.metrics import DATABASE_ERRORS
from app.core.postgres_errors import explain, is_behind, is_full, is_read_only, is_refused

logger = logging.getLogger(__name__)

_AWAY, _REFUSED, _READ_ONLY, _FULL = (
    DATABASE_ERRORS.labels(reason) for reason in ("away", "refused", "read_only", "full")
)
# Nothing but the next write says that there is room again, and perhaps nobody writes.
_FULL_SECONDS: Final = 30.0


class DatabaseFaults:
    """What has gone wrong with one pool of connections."""

    def __init__(self) -> None:
        self._full_until = float("-inf")

    @property
    def was_full(self) -> bool:
        """Whether Postgres has said within the last half minute that its disk has no room."""
        return monotonic() < self._full_until

    def note(self, error: Exception) -> None:
        """Count and log an error for which `is_away` is true."""
        event, level = "database_away", logging.WARNING
        if is_read_only(error):
            _READ_ONLY.inc()
        elif is_refused(error) or is_behind(error):
            _REFUSED.inc()
            event, level = "database_refused", logging.ERROR
        elif is_full(error):
            _FULL.inc()
            event, level = "database_full", logging.ERROR
            self._full_until = monotonic() + _FULL_SECONDS
        else:
            _AWAY.inc()
        logger.log(level, event, extra={"reason": explain(error)})
