import pytest

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.tool_refusals import refuses_tools, without_tools


@pytest.mark.parametrize(
    "message",
    [
        "registry.ollama.ai/library/gemma:2b does not support tools",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "Tool use is not supported for this model",
        "`tool calling` is not supported with this model",
        "tools is not supported in this model",
        "This model doesn't support function calling",
        "Unrecognized request argument supplied: tools",
        "body.tools: Extra inputs are not permitted: extra_forbidden",
        "tools param requires --jinja flag",
        "No endpoints found that support tool use. To learn more about provider routing, visit: https://x",
        "No endpoints found that support the provided 'tool_choice' value.",
        "tool use is not implemented",
        "Tool use is only supported with larger models",
        "The model `x` cannot use tools",
    ],
)
def test_a_refusal_of_tools_is_recognized(message: str) -> None:
    assert refuses_tools(UpstreamRejectedError(message))


@pytest.mark.parametrize(
    "message",
    [
        "Invalid schema for function 'get_weather': schema must be an object",
        "tools[0].function.name: must match ^[a-zA-Z0-9_-]+$",
        "Too many tools: 200 were given, at most 128 are allowed",
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
        "max_tokens is not supported with this model",
        "",
    ],
)
def test_other_refusals_are_not(message: str) -> None:
    assert not refuses_tools(UpstreamRejectedError(message))


def test_what_only_belongs_to_tools_is_left_out_with_them() -> None:
    body = {"model": "m", "messages": [], "tools": [{}], "tool_choice": "auto", "parallel_tool_calls": True, "seed": 1}

    assert without_tools(body) == {"model": "m", "messages": [], "seed": 1}
