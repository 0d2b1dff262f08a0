"""What docs/tracing.md says of spans, and what the trace of a turn that draws consists of."""

import re
from typing import Final

from tests.docs.files import read
from tests.traces.collector import Seen

DOCUMENT: Final = read("docs/tracing.md")
_ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` \| (?P<kind>server|client|internal|consumer) \| [^|]+ \| (?P<said>[^|]+) \|$", re.MULTILINE
)
_PART = re.compile(r"\{\w+\}")

# By the name of a span in the table: its kind, and what may be said of it.
LISTED: Final = {
    row["name"]: (row["kind"], set(re.findall(r"`([^`]+)`", row["said"]))) for row in _ROW.finditer(DOCUMENT)
}

# Each span: its name, its process, its kind, the one that it is within, and how many there are.
EXPECTED: Final = {
    ("POST /api/external/v1/chat/completions", "junis-api", "server", None): 1,
    ("admit_turn", "junis-api", "internal", "POST /api/external/v1/chat/completions"): 1,
    ("turn", "junis-api", "internal", "POST /api/external/v1/chat/completions"): 1,
    ("invoke_agent orchestrator", "junis-api", "internal", "turn"): 1,
    ("chat sim-chat", "junis-api", "client", "invoke_agent orchestrator"): 2,
    ("POST /chat/completions", "junis-api", "client", "chat sim-chat"): 2,
    ("execute_tool replicate_generate", "junis-api", "internal", "invoke_agent orchestrator"): 1,
    ("settle_turn", "junis-api", "internal", "turn"): 1,
    ("start_generation", "junis-worker", "consumer", "execute_tool replicate_generate"): 1,
    ("replicate create", "junis-worker", "client", "start_generation"): 1,
    ("hear_of_prediction", "junis-api", "consumer", "execute_tool replicate_generate"): 1,
    ("end_of_prediction", "junis-worker", "consumer", "execute_tool replicate_generate"): 1,
    ("copy_outputs", "junis-worker", "consumer", "execute_tool replicate_generate"): 1,
    ("download_output", "junis-worker", "client", "copy_outputs"): 1,
    ("store write", "junis-worker", "client", "copy_outputs"): 1,
    ("store verify", "junis-worker", "client", "copy_outputs"): 1,
    ("complete_generation", "junis-worker", "internal", "copy_outputs"): 1,
}


def said_of(span: Seen) -> set[str]:
    """What may be said of a span: by the row of its kind that fits its name and leaves the least of it open."""
    fitting = [
        name
        for name, (kind, _) in LISTED.items()
        if kind == span.kind and re.fullmatch(".+".join(map(re.escape, _PART.split(name))), span.name)
    ]
    return LISTED[max(fitting, key=lambda name: len(_PART.sub("", name)))][1]
