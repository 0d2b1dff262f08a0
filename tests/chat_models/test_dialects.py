"""Upstreams that refuse what every request has are asked again in another way, which is remembered."""

from typing import Any

import pytest

from app.chat_models.dialects import Dialect
from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient, OutputLimitName, Upstream
from tests.vendors_simulator import VendorsSimulator

LIMITS = ("max_tokens", "max_completion_tokens")


def body(model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "count to 50"}]
    return {"model": model, "messages": messages, "max_completion_tokens": 5, **fields}


async def ask(client: ChatModelClient, upstream: Upstream, model: str, *, is_streamed: bool) -> None:
    if is_streamed:
        async for _ in client.stream(upstream, body(model), timeout=30):
            pass
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


def test_the_code_and_the_param_of_a_refusal_are_enough() -> None:
    refused = UpstreamRejectedError("Bad request", param="max_tokens", upstream_code="unsupported_parameter")

    assert Dialect("max_tokens").after(refused, {**STREAMED, "max_tokens": 5}) == Dialect("max_completion_tokens")
    assert Dialect("max_completion_tokens").after(refused, STREAMED) == Dialect("max_completion_tokens")
