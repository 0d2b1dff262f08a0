"""Upstreams that refuse what every request has are asked again in another way, which is remembered."""

import json
from typing import Any

import pytest

from app.chat_models.dialects import Dialect, Dialects
from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient, OutputLimitName, Upstream
from tests.chat_models.taking import Taken
from tests.vendors_simulator import VendorsSimulator

LIMITS = ("max_tokens", "max_completion_tokens")


def body(model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "count to 50"}]
    return {"model": model, "messages": messages, "max_completion_tokens": 5, **fields}


async def ask(client: ChatModelClient, upstream: Upstream, model: str, *, is_streamed: bool) -> None:
    if is_streamed:
        await client.stream(upstream, body(model), Taken().take, timeout=30)
    else:
        await client.complete(upstream, body(model), timeout=30)


def upstream_of(simulator: VendorsSimulator, name: OutputLimitName = "max_tokens") -> Upstream:
    return Upstream(f"{simulator.url}/openai/v1", "simulated", name)


def sent(simulator: VendorsSimulator) -> list[dict[str, int]]:
    """The limits of each request that the simulator has had."""
    requests = [entry["request"] for entry in simulator.log("chat")]
    return [{name: request[name] for name in LIMITS if name in request} for request in requests]


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("name", LIMITS)
async def test_the_limit_is_sent_under_the_name_that_the_operator_has_set(
    client: ChatModelClient, simulator: VendorsSimulator, name: OutputLimitName, is_streamed: bool
) -> None:
    await ask(client, upstream_of(simulator, name), "sim-chat", is_streamed=is_streamed)

    assert sent(simulator) == [{name: 5}]
    assert simulator.log("chat")[0]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("model", "refused", "accepted"),
    [
        ("sim-chat--no-max-tokens", "max_tokens", "max_completion_tokens"),
        ("sim-chat--no-max-completion-tokens", "max_completion_tokens", "max_tokens"),
    ],
)
async def test_a_refused_name_is_replaced_by_the_other_one_and_not_tried_again(
    client: ChatModelClient,
    simulator: VendorsSimulator,
    model: str,
    refused: OutputLimitName,
    accepted: OutputLimitName,
    is_streamed: bool,
) -> None:
    for _ in range(2):
        await ask(client, upstream_of(simulator, refused), model, is_streamed=is_streamed)
    await ask(client, upstream_of(simulator, refused), "sim-chat", is_streamed=is_streamed)

    # What is learned of one model is not applied to another one.
    assert sent(simulator) == [{refused: 5}, {accepted: 5}, {accepted: 5}, {refused: 5}]


async def test_an_upstream_that_takes_neither_name_is_asked_once_with_each(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    model = "sim-chat--no-max-tokens--no-max-completion-tokens"

    with pytest.raises(UpstreamRejectedError, match="not permitted"):
        await ask(client, upstream_of(simulator), model, is_streamed=False)

    assert sent(simulator) == [{"max_tokens": 5}, {"max_completion_tokens": 5}]


async def test_a_stream_is_had_without_its_usage_if_the_upstream_refuses_to_be_asked_for_it(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    for _ in range(2):
        await ask(client, upstream_of(simulator), "sim-chat--no-stream-options", is_streamed=True)

    requests = [entry["request"] for entry in simulator.log("chat")]
    assert ["stream_options" in request for request in requests] == [True, False, False]
    assert sent(simulator) == [{"max_tokens": 5}] * 3


async def test_a_prompt_that_is_too_long_for_the_context_is_refused_in_the_upstreams_words_at_once(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    with pytest.raises(UpstreamRejectedError, match="maximum context length is 6 tokens") as refused:
        await ask(client, upstream_of(simulator), "sim-chat--context-6", is_streamed=False)

    assert refused.value.upstream_code == "context_length_exceeded"
    assert len(simulator.log("chat")) == 1


STREAMED: dict[str, Any] = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
UNKNOWN = [
    "Unsupported parameter: '{}' is not supported with this model. Use another.",
    "Unrecognized request argument supplied: {}",
    "property '{}' is unsupported",
    'Invalid JSON payload received. Unknown name "{}": Cannot find field.',
    "body.{}: Extra inputs are not permitted: extra_forbidden",
    "unknown field: parameter '{}' is not a valid field",
    "The parameter `{}` specified in the request is not valid",
    "{} is deprecated for this model",
    "{} illegal",
    "got an unexpected keyword argument '{}'",
    "No endpoints found that support the parameter {}",
]
OTHER = [
    "'{}' is too large: 31000. This model's maximum context length is 32768 tokens",
    "{} is too large: 100000. This model supports at most 4096 completion tokens, whereas you provided 100000.",
    "{}=5000 is not allowed: it must be less than or equal to 4096",
    "Unsupported parameter: 'temperature' is not supported with this model.",
    "{} must be an integer",
]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(("messages", "is_changed"), [(UNKNOWN, True), (OTHER, False)])
def test_only_a_refusal_of_the_name_itself_changes_the_name(
    name: OutputLimitName, messages: list[str], is_changed: bool
) -> None:
    dialect = Dialect(name)

    for message in messages:
        after = dialect.after(UpstreamRejectedError(message.format(name)), {**STREAMED, name: 5})
        assert (after.output_limit_name != name) is is_changed, message
        assert after.left_out == frozenset()


def test_names_in_the_capitals_of_other_languages_are_recognized() -> None:
    refused = UpstreamRejectedError("this model is not supported MaxTokens, please use MaxCompletionTokens")

    assert Dialect("max_tokens").after(refused, {**STREAMED, "max_tokens": 5}) == Dialect("max_completion_tokens")


@pytest.mark.parametrize(
    "message",
    [
        "Streaming is not supported for this model",
        "This model does not support streaming.",
        "Unsupported value: 'stream' does not support true with this model.",
    ],
)
def test_every_way_to_say_that_a_model_cannot_stream_is_understood(message: str) -> None:
    after = Dialect("max_tokens").after(UpstreamRejectedError(message), STREAMED)

    assert after == Dialect("max_tokens", left_out=frozenset({"stream"}))
    assert "stream" not in after.request(STREAMED, is_streamed=True)


@pytest.mark.parametrize(
    "message",
    [
        "invalid temperature: only 1 is allowed for this model",
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        "`temperature` may only be set to 1 when thinking is enabled.",
        "temperature is deprecated for this model.",
    ],
)
@pytest.mark.parametrize("of_client", [(), ("temperature",)])
def test_a_setting_that_may_have_one_value_only_is_left_out_unless_it_is_the_clients(
    message: str, of_client: tuple[str, ...]
) -> None:
    body = {"model": "m", "messages": [], "temperature": 0.5}

    after = Dialect("max_tokens").after(UpstreamRejectedError(message), body, of_client)

    assert after.left_out == (frozenset() if of_client else {"temperature"})


def test_reasoning_that_must_not_come_back_is_left_out_of_messages() -> None:
    message = {"role": "assistant", "content": "y", "reasoning_content": "Hm."}
    refused = UpstreamRejectedError("The reasoning_content is for display and should not be included in the messages.")

    after = Dialect("max_tokens").after(refused, {"model": "m", "messages": [message]})

    assert after.left_out_of_messages == {"reasoning_content"}


def test_the_code_and_the_param_of_a_refusal_are_enough() -> None:
    refused = UpstreamRejectedError("Bad request", param="max_tokens", upstream_code="unsupported_parameter")

    assert Dialect("max_tokens").after(refused, {**STREAMED, "max_tokens": 5}) == Dialect("max_completion_tokens")
    assert Dialect("max_completion_tokens").after(refused, STREAMED) == Dialect("max_completion_tokens")


ASSISTANT = {
    "role": "assistant",
    "content": None,
    "reasoning_details": [1],
    "tool_calls": [
        {
            "id": "c",
            "type": "function",
            "extra_content": {},
            "function": {"name": "f", "arguments": "{}", "strict": True},
        }
    ],
}
OURS: dict[str, Any] = {
    **STREAMED,
    "messages": [{"role": "user", "content": "x"}, ASSISTANT],
    "tools": [{}],
    "temperature": 0.2,
    "parallel_tool_calls": True,
    "tool_choice": "required",
    "max_tokens": 5,
}


def rejected(message: str, **fields: Any) -> UpstreamRejectedError:
    return UpstreamRejectedError(message, **fields)


@pytest.mark.parametrize(
    ("refused", "name"),
    [
        (rejected("Unrecognized request argument supplied: stream_options"), "stream_options"),
        (rejected("body.stream_options: Extra inputs are not permitted: extra_forbidden"), "stream_options"),
        (rejected("nope", param="stream_options.include_usage", upstream_code="unknown_parameter"), "stream_options"),
        (
            rejected("unknown field `parallel_tool_calls`, expected `max_tokens` or `temperature`"),
            "parallel_tool_calls",
        ),
        (rejected("tool_choice is not supported"), "tool_choice"),
        (rejected("This model does not support parallel_tool_calls"), "parallel_tool_calls"),
        (rejected("property 'tool_choice' is unsupported"), "tool_choice"),
        (
            rejected("Unsupported value: 'temperature' does not support 0.2 with this model.", param="temperature"),
            "temperature",
        ),
    ],
)
def test_what_the_server_has_added_is_left_out_if_it_is_refused(refused: UpstreamRejectedError, name: str) -> None:
    dialect = Dialect("max_tokens")

    after = dialect.after(refused, OURS)

    assert after == Dialect("max_tokens", frozenset({name}))
    body = {key: value for key, value in OURS.items() if key not in {"stream", "stream_options", "max_tokens"}}
    request = after.request({**body, "max_completion_tokens": 5}, is_streamed=True)
    assert request == {key: value for key, value in OURS.items() if key != name}
    # Of the client's own parameters nothing is left out: the client gets to read why they are refused.
    if name != "stream_options":
        assert dialect.after(refused, OURS, {name}) == dialect
        assert after.request(body, {name}, is_streamed=True)[name] == OURS[name]


@pytest.mark.parametrize(
    "refused",
    [
        rejected("Invalid value for 'temperature'"),
        rejected("This model does not support tools"),
        rejected("'tools' is not supported"),
        rejected("model `m` is not supported"),
        rejected("Unknown parameter: 'top_p'", param="top_p"),
        rejected("temperature is not supported", param="top_p"),
        rejected("messages.1.content: Extra inputs are not permitted"),
        rejected("stream_options"),
        rejected(""),
    ],
)
def test_a_refusal_of_other_things_changes_nothing(refused: UpstreamRejectedError) -> None:
    assert Dialect("max_tokens").after(refused, OURS) == Dialect("max_tokens")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "'messages.1' : for 'role:assistant' ... : property 'reasoning_details' is unsupported)]",
            "reasoning_details",
        ),
        ("body.messages.1.tool_calls.0.extra_content: Extra inputs are not permitted", "extra_content"),
        ("Unknown parameter: 'messages[1].tool_calls[0].function.strict'.", "strict"),
    ],
)
def test_what_was_added_to_messages_is_left_out_of_all_of_them_if_it_is_refused(text: str, name: str) -> None:
    after = Dialect("max_tokens").after(rejected(text), OURS)

    assert after == Dialect("max_tokens", left_out_of_messages=frozenset({name}))
    user, assistant = after.request(OURS, is_streamed=True)["messages"]
    assert user == OURS["messages"][0]
    kept = [each for each in ("reasoning_details", "extra_content", "strict") if f'"{each}"' in json.dumps(assistant)]
    assert kept == [each for each in ("reasoning_details", "extra_content", "strict") if each != name]
    assert assistant["tool_calls"][0]["function"].items() >= {"name": "f", "arguments": "{}"}.items()


async def test_several_refused_fields_are_left_out_one_after_the_other_and_remembered(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    model = "sim-chat--no-parallel-tool-calls--no-temperature--no-max-tokens--no-stream-options"
    ours = body(model, temperature=0.5, parallel_tool_calls=False)
    upstream = upstream_of(simulator)

    for _ in range(2):
        await client.stream(upstream, ours, Taken().take, timeout=30)

    requests = [entry["request"] for entry in simulator.log("chat")]
    assert len(requests) == 6
    assert requests[-1] == requests[-2] == {**requests[-1], "max_completion_tokens": 5}
    assert requests[-1].keys() == {"model", "messages", "stream", "max_completion_tokens"}


async def test_a_parameter_of_the_client_is_refused_in_the_upstreams_words(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    ours = body("sim-chat--no-temperature", temperature=0.5)

    with pytest.raises(UpstreamRejectedError, match="'temperature' is not supported"):
        await client.complete(upstream_of(simulator), ours, timeout=30, of_client={"temperature"})

    assert len(simulator.log("chat")) == 1


def test_a_model_that_cannot_stream_is_asked_for_a_whole_answer() -> None:
    refused = rejected("Unsupported value: 'stream' does not support true with this model.", param="stream")

    after = Dialect("max_tokens").after(refused, STREAMED)

    assert after.request(STREAMED, is_streamed=True) == {"model": "m", "messages": []}


def test_the_dialects_that_are_remembered_are_bounded() -> None:
    dialects, upstream = Dialects(), Upstream("http://localhost/v1", "")

    for number in range(1001):
        dialects.learn(upstream, {"model": str(number)}, Dialect("max_completion_tokens"))

    learned = [dialects.of(upstream, {"model": str(number)}).output_limit_name for number in (0, 1, 1000)]
    assert learned == ["max_tokens", "max_completion_tokens", "max_completion_tokens"]
