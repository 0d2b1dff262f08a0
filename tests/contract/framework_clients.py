"""The frameworks that the server is tried with: what each program plays, and how its client reports refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The scenarios of refused requests, and the status that each of them gets.
REFUSED = {"unknown_key": 401, "without_credits": 402, "busy": 429}


@dataclass(frozen=True)
class FrameworkClient:
    """A program in `clients/frameworks`.

    Attributes:
        environment: what it runs in: a folder of `clients/environments`, a group of the clients' own dependencies, or
            `node` for the clients' own packages for Node.
        program: the program's file, and its arguments.
        scenarios: what it plays besides the refusals.
        classes: the name of the client's error for each refusal.
        tries: how often the client sends a request that is refused for now.
        statuses: what the client says is the status of each refusal, if that is not the status.
    """

    environment: str
    program: str
    scenarios: tuple[str, ...]
    classes: Mapping[str, str]
    tries: int = 3
    statuses: Mapping[str, int | None] = field(default_factory=dict)


_NO_STATUS: Mapping[str, None] = dict.fromkeys(REFUSED)
_OPENAI = {"unknown_key": "AuthenticationError", "without_credits": "APIStatusError", "busy": "RateLimitError"}
_TOOLS = ("tool_auto", "tool_required", "tool_named")
_AGENTS = ("chat", "stream", *_TOOLS, "handoff", "structured", "image", "history", "session")
_LANGCHAIN = ("chat", "stream", *_TOOLS, "structured", "image", "session")
_LANGCHAIN_CLASSES = {**_OPENAI, "unknown_key": "OpenAIAuthenticationError", "busy": "OpenAIRateLimitError"}
_LANGCHAIN_JS = (
    *("chat", "stream", "tool_auto", "tool_named", "structured", "structured_call"),
    *("image", "history", "session"),
)
_LANGCHAIN_JS_CLASSES = {"unknown_key": "AuthenticationError", "without_credits": "APIError", "busy": "RateLimitError"}
_PYDANTIC = (
    *("chat", "stream", "tool_auto", "tool_before_output", "structured_tool", "structured_native"),
    *("structured_prompted", "image", "history", "session"),
)
_PYDANTIC_CLASSES = {
    "unknown_key": "ModelAuthenticationError",
    "without_credits": "ModelQuotaExceededError",
    "busy": "ModelRateLimitError",
}
_VERCEL = ("chat", "stream", *_TOOLS, "structured", "structured_stream", "image", "history")
# What needs no agent.
_VERCEL_OTHERS = ("generated_images", "embeddings")
_VERCEL_CLASSES = {"unknown_key": "AI_APICallError", "without_credits": "AI_APICallError", "busy": "AI_RetryError"}

SMALL = {
    "llm": FrameworkClient(
        "small", "llm_client.py", ("chat", "stream", "tool_auto", "structured", "image", "history"), _OPENAI
    ),
    "instructor": FrameworkClient(
        "small",
        "instructor_client.py",
        (
            *("chat", "stream", "structured_tools", "structured_tools_strict", "structured_json"),
            *("structured_json_schema", "structured_md_json", "structured_partial", "tool_of_several"),
            *("image", "session"),
        ),
        dict.fromkeys(REFUSED, "InstructorRetryException"),
        statuses=_NO_STATUS,
    ),
    "openai-agents": FrameworkClient(
        "small",
        "openai_agents_client.py",
        _AGENTS,
        _OPENAI,
    ),
    "openai-agents-responses": FrameworkClient("small", "openai_agents_client.py responses", _AGENTS, _OPENAI),
    "langchain": FrameworkClient("openai2", "langchain_client.py", (*_LANGCHAIN, "embeddings"), _LANGCHAIN_CLASSES),
    "langchain-responses": FrameworkClient("openai2", "langchain_client.py responses", _LANGCHAIN, _LANGCHAIN_CLASSES),
    "ai-openai": FrameworkClient("node", "vercel_client.mjs openai", (*_VERCEL, *_VERCEL_OTHERS), _VERCEL_CLASSES),
    "ai-responses": FrameworkClient("node", "vercel_client.mjs responses", (*_VERCEL, "session"), _VERCEL_CLASSES),
    "ai-openai-compatible": FrameworkClient(
        "node", "vercel_client.mjs compatible", (*_VERCEL, *_VERCEL_OTHERS, "session"), _VERCEL_CLASSES
    ),
}
LARGE = {
    "langchain-js": FrameworkClient(
        "langchain-js",
        "langchain_client.mjs",
        (*_LANGCHAIN_JS, "tool_required", "embeddings"),
        _LANGCHAIN_JS_CLASSES,
        tries=2,
    ),
    "langchain-js-responses": FrameworkClient(
        "langchain-js", "langchain_client.mjs responses", _LANGCHAIN_JS, _LANGCHAIN_JS_CLASSES, tries=2
    ),
    "pydantic-ai": FrameworkClient("agents", "pydantic_ai_client.py", _PYDANTIC, _PYDANTIC_CLASSES),
    "pydantic-ai-responses": FrameworkClient("agents", "pydantic_ai_client.py responses", _PYDANTIC, _PYDANTIC_CLASSES),
    "smolagents": FrameworkClient(
        "agents", "smolagents_client.py", ("chat", "stream", "tool_of_an_agent", "code", "image", "session"), _OPENAI
    ),
    "llamaindex": FrameworkClient(
        "llamaindex",
        "llamaindex_client.py",
        (
            "chat",
            "stream",
            *_TOOLS,
            "react",
            "structured",
            "structured_model",
            "image",
            "history",
            "session",
            "embeddings",
        ),
        _OPENAI,
        tries=12,
    ),
    "litellm": FrameworkClient(
        "litellm",
        "litellm_client.py",
        ("chat", "stream", *_TOOLS, "structured", "image", "session"),
        {**_OPENAI, "without_credits": "APIError"},
    ),
    "dspy": FrameworkClient(
        "litellm",
        "dspy_client.py",
        ("chat", "fields"),
        {"unknown_key": "LMAuthError", "without_credits": "LMBillingError", "busy": "LMRateLimitError"},
        tries=4,
        statuses=_NO_STATUS,
    ),
    "livekit": FrameworkClient(
        "livekit",
        "livekit_client.py",
        ("stream", *_TOOLS, "image", "session"),
        {"unknown_key": "APIStatusError", "without_credits": "APIStatusError", "busy": "APIConnectionError"},
        tries=4,
        statuses={"busy": None},
    ),
}
