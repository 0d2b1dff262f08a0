from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class PredictionFault(StrEnum):
    """What can go wrong with a prediction, its files and its webhooks.

    Written as a suffix of a model's name (``simulator/image--fail--webhook-lost``), most with an optional number:
    ``-N`` counts seconds if the fault is a delay, megabytes for ``big``, and otherwise the first N times, after
    which everything works. Without a number a delay takes its default and a refusal happens every time, except for the
    faults that are temporary by nature (``create-429*``, ``fail-transient-e1000``), which happen twice.
    """

    # The run
    FAIL = "fail"
    """Ends failed, with the text of ``input.error`` or an out-of-memory error (E1001)."""
    FAIL_TRANSIENT_E1000 = "fail-transient-e1000"
    """Ends failed with E1000 (unknown error, worth a retry) for the first N creations with equal input."""
    START_SLOW = "start-slow"
    """Stays in ``starting`` for N seconds: a cold boot."""
    SLOW = "slow"
    """Stays in ``processing`` for N seconds."""
    NEVER_ENDS = "never-ends"
    """Runs until it is canceled, or until the 30 minutes that Replicate allows."""
    ABORTED = "aborted"
    """Ends aborted without having started."""
    CANCELED = "canceled"
    """Ends canceled though nobody asked."""
    UNKNOWN_STATUS = "unknown-status"
    """Reports a status that no client knows instead of ``processing``."""
    UNKNOWN_FIELDS = "unknown-fields"
    """Reports fields that no client knows, next to the others and inside metrics."""
    PROCESSING_WITH_OUTPUT = "processing-with-output"
    """Has its output while its status is still ``processing``."""
    DATA_REMOVED = "data-removed"
    """Has lost input, output and logs by the time it succeeds."""

    # The output
    OUTPUT_NULL = "output-null"
    """Succeeds with ``output: null``."""
    OUTPUT_STRING = "output-string"
    """Answers a single URL whatever the model's usual shape."""
    OUTPUT_LIST = "output-list"
    """Answers a list of URLs."""
    OUTPUT_OBJECT = "output-object"
    """Answers an object with the URLs at different depths."""
    OUTPUT_DATA_URL = "output-data-url"
    """Answers ``data:`` URLs instead of links."""
    BIG = "big"
    """Each file has N megabytes: a valid beginning, then a repeated pattern made while it is sent."""

    # POST that creates it
    CREATE_401 = "create-401"
    """Refused: the token is not valid."""
    CREATE_402 = "create-402"
    """Refused: no credit."""
    CREATE_422 = "create-422"
    """Refused: the version does not exist, or may not be used."""
    CREATE_429 = "create-429"
    """Throttled: the long body with ``retry_after``, and a ``Retry-After`` header."""
    CREATE_429_NO_HEADER = "create-429-no-header"
    """Throttled: the long body, no header."""
    CREATE_429_SHORT = "create-429-short"
    """Throttled: a body that only says "~1s" in its text, no header."""
    CREATE_429_SILENT = "create-429-silent"
    """Throttled: neither body nor header says for how long."""
    CREATE_500 = "create-500"
    """Internal error as problem JSON; nothing was created."""
    CREATE_502_HTML = "create-502-html"
    """A gateway's HTML page; nothing was created."""
    OTHER_MODEL = "other-model"
    """Creates a prediction that says it runs another model."""
    CREATE_ACCEPT_THEN_TIMEOUT = "create-accept-then-timeout"
    """Creates and runs it, but never answers the POST."""
    CREATE_ACCEPT_THEN_DROP = "create-accept-then-drop"
    """Creates and runs it, but closes the connection instead of answering."""

    # GET and cancel
    GET_500 = "get-500"
    """Reading it fails."""
    GET_429 = "get-429"
    """Reading it is throttled."""
    GET_SLOW = "get-slow"
    """Reading it takes N seconds."""
    LIST_500 = "list-500"
    """The list of predictions fails; only a rule can order it."""
    LIST_429 = "list-429"
    """The list of predictions is throttled; only a rule can order it."""
    CANCEL_RACE = "cancel-race"
    """Canceling it comes too late: the answer says ``succeeded``."""

    # Its files
    DELIVERY_404 = "delivery-404"
    """The file is not found."""
    DELIVERY_500 = "delivery-500"
    """The delivery host fails."""
    DELIVERY_TRUNCATED = "delivery-truncated"
    """The connection is cut after half of the announced length."""
    DELIVERY_WRONG_TYPE = "delivery-wrong-type"
    """An HTML page with status 200 in place of the file."""
    DELIVERY_REDIRECT = "delivery-redirect"
    """A redirect on the same host, behind which the file is."""
    DELIVERY_REDIRECT_ELSEWHERE = "delivery-redirect-elsewhere"
    """A redirect to a host that no client should follow it to."""
    DELIVERY_SLOW = "delivery-slow"
    """The bytes drip, evenly spread over N seconds."""
    DELIVERY_STALL = "delivery-stall"
    """Half of the bytes arrive, then nothing more; the connection stays open."""
    DELIVERY_EXPIRED = "delivery-expired"
    """The file is gone N seconds (default 0) after the prediction's end."""

    # Its webhooks
    WEBHOOK_LOST = "webhook-lost"
    """None is sent."""
    WEBHOOK_DUPLICATED = "webhook-duplicated"
    """Each is sent twice, with the same id."""
    WEBHOOK_REORDERED = "webhook-reordered"
    """``completed`` comes first, what happened before it after it."""
    WEBHOOK_LATE = "webhook-late"
    """Each comes N seconds late."""
    WEBHOOK_BAD_SIGNATURE = "webhook-bad-signature"
    """Each is signed with another secret."""
    WEBHOOK_OLD_TIMESTAMP = "webhook-old-timestamp"
    """Each is rightly signed, an hour ago."""
    WEBHOOK_REENCODED = "webhook-reencoded"
    """The body was re-encoded on its way: the same JSON, other bytes than were signed."""


DEFAULT_ARGUMENTS: Mapping[PredictionFault, float] = MappingProxyType(
    {
        PredictionFault.FAIL_TRANSIENT_E1000: 2,
        PredictionFault.START_SLOW: 5,
        PredictionFault.SLOW: 5,
        PredictionFault.BIG: 10,
        PredictionFault.CREATE_429: 2,
        PredictionFault.CREATE_429_NO_HEADER: 2,
        PredictionFault.CREATE_429_SHORT: 2,
        PredictionFault.CREATE_429_SILENT: 2,
        PredictionFault.GET_SLOW: 5,
        PredictionFault.DELIVERY_SLOW: 5,
        PredictionFault.DELIVERY_EXPIRED: 0,
        PredictionFault.WEBHOOK_LATE: 5,
    }
)

MEASURED = frozenset(
    {
        PredictionFault.START_SLOW,
        PredictionFault.SLOW,
        PredictionFault.BIG,
        PredictionFault.GET_SLOW,
        PredictionFault.DELIVERY_SLOW,
        PredictionFault.DELIVERY_EXPIRED,
        PredictionFault.WEBHOOK_LATE,
    }
)
"""Those whose number measures something; the number of the others says how often they happen."""

AT_READING = frozenset({PredictionFault.GET_500, PredictionFault.GET_429, PredictionFault.GET_SLOW})
AT_LISTING = frozenset({PredictionFault.LIST_500, PredictionFault.LIST_429})
AT_CANCELING = frozenset({PredictionFault.CANCEL_RACE})
AT_DELIVERY = frozenset(
    {
        PredictionFault.DELIVERY_404,
        PredictionFault.DELIVERY_500,
        PredictionFault.DELIVERY_TRUNCATED,
        PredictionFault.DELIVERY_WRONG_TYPE,
        PredictionFault.DELIVERY_REDIRECT,
        PredictionFault.DELIVERY_REDIRECT_ELSEWHERE,
        PredictionFault.DELIVERY_SLOW,
        PredictionFault.DELIVERY_STALL,
    }
)
AT_CREATION = frozenset(PredictionFault) - AT_READING - AT_LISTING - AT_CANCELING - AT_DELIVERY
"""Those that are settled when a prediction is made; the others can also be ordered for a later request."""
