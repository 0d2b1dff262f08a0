import json
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from app.core.request_context import request_id_var, traceparent_var
from app.core.tracing import span_var

logger = logging.getLogger(__name__)

# Events of which there is one for each use of what is away: one in a while says the same.
_REPEATED = frozenset(
    {
        "database_away",
        "database_refused",
        "database_full",
        "prepared_statements_forgotten",
        "listener_lost",
        "claim_failed",
        "redis_away",
        "queue_away",
        "budget_away",
    }
)
_QUIET_SECONDS = 10.0

_TO_JSON = json.JSONEncoder(default=str).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, event, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request_id := request_id_var.get():
            line["request_id"] = request_id
        line |= _trace()
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _TO_JSON(line)


def _trace() -> dict[str, str]:
    """The trace that the current task belongs to, and the span if it is recorded; see docs/tracing.md."""
    if (span := span_var.get()) is not None:
        _, trace_id, span_id, _ = span.traceparent.split("-")
        return {"trace_id": trace_id, "span_id": span_id}
    traceparent = traceparent_var.get()
    return {} if traceparent is None else {"trace_id": traceparent.split("-")[1]}


class Repetitions(logging.Filter):
    """Lets a line about something that is away pass once in a while, although each use of it fails.

    The next line that passes says in `repeated` how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        # By event and reason: until when its lines are left out, and how many were.
        self._quiet: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if (event := record.getMessage()) not in _REPEATED:
            return True
        key = (event, str(getattr(record, "reason", "")))
        until, left_out = self._quiet.get(key, (0.0, 0))
        now = time.monotonic()
        if now < until:
            self._quiet[key] = (until, left_out + 1)
            return False
        self._quiet = {known: value for known, value in self._quiet.items() if value[0] > now}
        self._quiet[key] = (now + _QUIET_SECONDS, 0)
        if left_out:
            record.repeated = left_out
        return True


def configure_logging(level: str) -> None:
    """Send everything that the process reports to standard error, one JSON object a line: also its last words."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Repetitions())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    _leave_out_what_is_not_shown()
    log_the_unhandled()
    # These two log a line for each request, with URLs that may be secret. Our own line says as much.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _leave_out_what_is_not_shown() -> None:
    """Keep each line from finding out what none shows: its place in the code, its thread, its process."""
    logging._srcfile = None  # noqa: SLF001 - how the manual of `logging` says it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def log_the_unhandled() -> None:
    """Log warnings, and errors that nothing handles, instead of printing them."""
    logging.captureWarnings(True)
    sys.excepthook = _on_crash
    threading.excepthook = _on_thread_crash
    sys.unraisablehook = _on_unraisable


def _on_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.critical("crashed", exc_info=(kind, error, trace))


def _on_thread_crash(crash: threading.ExceptHookArgs) -> None:
    error = crash.exc_value or crash.exc_type()
    logger.error("thread_crashed", exc_info=(crash.exc_type, error, crash.exc_traceback))


def _on_unraisable(left: "sys.UnraisableHookArgs") -> None:
    error = left.exc_value or left.exc_type()
    logger.error(
        "error_ignored",
        extra={"reason": left.err_msg or "", "object": repr(left.object)},
        exc_info=(left.exc_type, error, left.exc_traceback),
    )
