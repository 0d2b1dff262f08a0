"""What processes count for Prometheus: all of it in one list, which docs/metrics.md explains and is held against.

Labels have few values, whatever clients send: no organization, key, user or session is one. A series is looked up once
and kept, so that counting costs an addition. Each process counts for itself, from zero when it starts; what must be
exact is in Postgres.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# Of models and upstreams, which operators name. What comes after these is counted together.
MOST_NAMES: Final = 50
OTHER: Final = "other"

# When each series began would be as many series again, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

_Series = TypeVar("_Series")


class ByName(dict[str, _Series], Generic[_Series]):
    """Series by a name that an operator has chosen, each made when its name is first met: `MOST_NAMES` at most.

    Args:
        make: the series of a name.
    """

    def __init__(self, make: Callable[[str], _Series]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> _Series:
        if len(self) < MOST_NAMES or name == OTHER:
            self[name] = self._make(name)
            return self[name]
        # Not kept under its own name: of names without end nothing may be remembered.
        return self[OTHER]


@contextmanager
def timed(duration: Histogram) -> Iterator[None]:
    """Observe how many seconds the block takes, also if it fails."""
    began = perf_counter()
    try:
        yield
    finally:
        duration.observe(perf_counter() - began)


_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ANSWERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_STAGES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

# --- Requests -------------------------------------------------------------------------------------------------------

HTTP_REQUESTS = Counter("junis_http_requests", "Requests that have ended", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "junis_http_request_duration_seconds",
    "From a request's head to the last byte of its response; of a stream, its whole length",
    ["method", "route"],
    buckets=_ANSWERS,
)
HTTP_IN_PROGRESS = Gauge("junis_http_requests_in_progress", "Requests whose response has not ended")
RATE_LIMIT_DECISIONS = Counter(
    "junis_rate_limit_decisions", "Requests that were counted and admitted, or refused", ["decision", "decided_in"]
)
REDIS_AWAY = Counter("junis_redis_away", "Calls to Redis that failed, so that the process decided on its own")
PASSWORD_CHECKS = Counter("junis_password_checks", "Passwords that were compared with a hash, also for unknown users")

# --- Turns and the calls of chat models -----------------------------------------------------------------------------

TURNS = Counter("junis_turns", "Turns that have ended, or were refused before they began", ["outcome"])
TURN_ERRORS = Counter("junis_turn_errors", "Turns that were refused or failed, by the code of the error", ["code"])
TURN_SECONDS = Histogram(
    "junis_turn_duration_seconds",
    "From a turn's request until it is charged and stored",
    ["is_streamed"],
    buckets=_ANSWERS,
)
TURNS_IN_PROGRESS = Gauge("junis_turns_in_progress", "Turns that run")
TURNS_SETTLING = Gauge("junis_turns_settling", "Turns that have ended and are not charged and stored yet")
TURNS_NOT_SETTLED = Counter("junis_turns_not_settled", "Turns that were given up before they were charged and stored")
MODEL_CALLS = Counter(
    "junis_model_calls", "Calls of chat models that have ended; free ones have failed", ["model", "result"]
)
MODEL_SECONDS = Histogram(
    "junis_model_call_duration_seconds", "How long calls of chat models took", ["model"], buckets=_ANSWERS
)
MODEL_FIRST_TOKEN_SECONDS = Histogram(
    "junis_model_first_token_seconds",
    "From a streamed call of a chat model to the first token of its answer",
    ["model"],
    buckets=_ANSWERS,
)
MODEL_TOKENS = Counter("junis_model_tokens", "Tokens that are paid for", ["model", "kind"])

# --- Credits --------------------------------------------------------------------------------------------------------

HOLDS = Counter("junis_credit_holds", "Holds that were placed", ["kind", "model"])
HELD_CREDITS = Counter("junis_held_credits", "Credits that were held, with what was added later", ["kind", "model"])
HOLDS_REFUSED = Counter("junis_credit_holds_refused", "Actions that could not be paid for", ["kind"])
METERING_EVENTS = Counter("junis_metering_events", "Uses that were recorded, also free ones", ["kind", "model"])
METERED_CREDITS = Counter("junis_metered_credits", "What recorded uses cost, in credits", ["kind", "model"])
EXPIRED_HOLDS = Counter("junis_expired_holds", "Holds that were ended after their process had crashed")
COST_ABOVE_HOLD = Counter("junis_cost_above_hold", "Settlements whose cost was more than the amount that was held")

# --- Generations ----------------------------------------------------------------------------------------------------

GENERATIONS = Counter("junis_generations", "Attempts that have ended, and why if they failed", ["state", "reason"])
STAGE_SECONDS = Histogram(
    "junis_generation_stage_seconds", "How long attempts spent in each stage", ["stage"], buckets=_STAGES
)
OTHER_MODELS_RUN = Counter(
    "junis_other_models_run", "Predictions that ran another model than was asked, and were cancelled"
)
WEBHOOKS = Counter("junis_webhooks", "Reports of the vendor that have arrived", ["result"])

# --- Workers --------------------------------------------------------------------------------------------------------

ROWS_IN_PROGRESS = Gauge("junis_worker_rows_in_progress", "Rows that this worker works on", ["step"])
ROW_SECONDS = Histogram(
    "junis_worker_row_duration_seconds", "How long a worker worked on one row", ["step"], buckets=_ANSWERS
)
ROUND_SECONDS = Histogram(
    "junis_worker_round_duration_seconds", "How long a round of a worker's loop took", ["loop"], buckets=_FAST
)
MAILS = Counter("junis_mails", "Mails that were sent, put off or given up", ["result"])
WEBHOOK_DELIVERIES = Counter(
    "junis_webhook_deliveries", "Tries to deliver webhooks that have ended, and how", ["result"]
)

# --- Vendors --------------------------------------------------------------------------------------------------------

VENDOR_REQUESTS = Counter(
    "junis_vendor_requests", "Calls to vendors that have ended", ["vendor", "operation", "result"]
)
VENDOR_SECONDS = Histogram(
    "junis_vendor_request_duration_seconds",
    "How long calls to vendors took; of a chat model until its response begins",
    ["vendor", "operation"],
    buckets=_ANSWERS,
)
VENDOR_DENIALS = Counter("junis_vendor_denials", "Calls that the vendor refused because of the operator's account")
BUDGET_WAITS = Counter("junis_vendor_budget_waits", "Calls for which the budget left nothing", ["call"])


@cache
def _vendor_seconds(vendor: str, operation: str) -> Histogram:
    return VENDOR_SECONDS.labels(vendor, operation)


@cache
def _vendor_requests(vendor: str, operation: str, result: str) -> Counter:
    return VENDOR_REQUESTS.labels(vendor, operation, result)


class VendorCall:
    """A call to a vendor, counted from the moment when it begins."""

    def __init__(self, vendor: str, operation: str) -> None:
        self._labels = vendor, operation
        self._began_at: float | None = perf_counter()

    def responded(self) -> None:
        """Observe how long the vendor took. Only the first time counts."""
        if self._began_at is not None:
            _vendor_seconds(*self._labels).observe(perf_counter() - self._began_at)
            self._began_at = None

    def ended(self, result: str) -> None:
        """Count the call, which has ended in this way."""
        self.responded()
        _vendor_requests(*self._labels, result).inc()


@contextmanager
def vendor_call(vendor: str, operation: str, result_of: Callable[[Exception], str]) -> Iterator[VendorCall]:
    """Count the call to a vendor that the block makes: how long it takes, and how it ends.

    Args:
        vendor: the vendor.
        operation: what is asked of it.
        result_of: what the metrics call a failure. A call that is given up is `cut_short`.
    """
    call, result = VendorCall(vendor, operation), "cut_short"
    try:
        yield call
        result = "ok"
    except Exception as error:  # raised again
        result = result_of(error)
        raise
    finally:
        call.ended(result)


# --- Stores and the process -----------------------------------------------------------------------------------------

STORE_IS_USABLE = Gauge("junis_store_is_usable", "Whether the last probe of a store succeeded: 1 or 0", ["store"])
STORE_SECONDS = Histogram(
    "junis_store_operation_duration_seconds", "How long the object store took", ["operation"], buckets=_ANSWERS
)
STORE_ERRORS = Counter("junis_store_errors", "What the object store did not do", ["operation", "fault"])
STORE_BYTES = Counter("junis_store_bytes", "Bytes that were written to the object store or read from it", ["direction"])
DATABASE_ERRORS = Counter("junis_database_errors", "Uses of Postgres that failed because it is away", ["reason"])
DATABASE_WAIT_SECONDS = Histogram(
    "junis_database_connection_wait_seconds", "How long a transaction waited for its connection", buckets=_FAST
)
DATABASE_TIMEOUTS = Counter("junis_database_connection_timeouts", "Transactions for which no connection became free")
TRACE_SPANS = Counter("junis_trace_spans", "Spans of traces that were sent or dropped", ["result"])
# Without traces both are 0, and not missing.
for _result in ("sent", "dropped"):
    TRACE_SPANS.labels(_result)
LOOP_LAG_SECONDS = Histogram(
    "junis_event_loop_lag_seconds",
    "How late the event loop was at what was due, looked at twice a second",
    buckets=_FAST,
)
