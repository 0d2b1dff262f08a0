"""What traces consist of: the names of spans, and of what is said of them. docs/tracing.md explains all of them.

Names are those of OpenTelemetry's semantic conventions where these have one. None is for anything that a client, a
model or a vendor has written: no prompts, no answers, no arguments, no URLs, no texts of errors.
"""

from enum import Enum, StrEnum
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["server", "client", "internal", "consumer"]


class SpanName(Enum):
    """The spans. In braces are parts of the name that a span is given when it begins."""

    REQUEST = ("{method} {route}", "server")
    ADMIT = ("admit_turn", "internal")
    TURN = ("turn", "internal")
    AGENT = ("invoke_agent {agent}", "internal")
    MODEL_CALL = ("chat {model}", "client")
    UPSTREAM_REQUEST = ("POST {operation}", "client")
    TOOL = ("execute_tool {tool}", "internal")
    SETTLE = ("settle_turn", "internal")
    START = ("start_generation", "consumer")
    WEBHOOK = ("hear_of_prediction", "consumer")
    POLL = ("end_of_prediction", "consumer")
    COPY = ("copy_outputs", "consumer")
    DOWNLOAD = ("download_output", "client")
    COMPLETE = ("complete_generation", "internal")
    FAIL = ("fail_generation", "internal")
    REPLICATE = ("replicate {operation}", "client")
    STORE = ("store {operation}", "client")

    def __init__(self, pattern: str, kind: Kind) -> None:
        self.pattern = pattern
        self.kind = kind


class Attribute(StrEnum):
    """What is said of spans."""

    ERROR_TYPE = "error.type"
    HTTP_METHOD = "http.request.method"
    HTTP_ROUTE = "http.route"
    HTTP_STATUS = "http.response.status_code"
    SERVER_ADDRESS = "server.address"
    SERVER_PORT = "server.port"
    GEN_AI_OPERATION = "gen_ai.operation.name"
    GEN_AI_PROVIDER = "gen_ai.provider.name"
    GEN_AI_AGENT = "gen_ai.agent.name"
    GEN_AI_CONVERSATION = "gen_ai.conversation.id"
    GEN_AI_MODEL = "gen_ai.request.model"
    GEN_AI_STREAM = "gen_ai.request.stream"
    GEN_AI_FINISH_REASONS = "gen_ai.response.finish_reasons"
    GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
    GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
    GEN_AI_TOOL = "gen_ai.tool.name"
    REQUEST_ID = "junis.request.id"
    ORGANIZATION = "junis.organization.id"
    API_KEY = "junis.api_key.id"
    TURN = "junis.turn.id"
    AGENT_TYPE = "junis.agent.type"
    GENERATION = "junis.generation.id"
    ATTEMPT = "junis.generation.attempt"
    PREDICTION = "junis.prediction.id"
    PREDICTION_STATUS = "junis.prediction.status"
    OUTPUTS = "junis.outputs"
    BYTES = "junis.bytes"


class SpanEvent(StrEnum):
    """Moments within spans."""

    FIRST_TOKEN = "first_token"  # noqa: S105 - of an answer
