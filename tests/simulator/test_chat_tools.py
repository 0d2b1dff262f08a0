"""Which tools the simulated assistant calls, as OpenAI's own client sees it."""

import json
from typing import Any

import openai
import pytest

from tests.simulator.asking import ask, stream

GENERATE = {
    "type": "function",
    "function": {
        "name": "replicate_generate",
        "parameters": {"type": "object", "properties": {"model": {"type": "string"}, "input": {"type": "object"}}},
    },
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 3},
            },
            "required": ["city", "unit", "days"],
        },
    },
}


def arguments_of(choice: Any) -> list[dict[str, Any]]:
    return [json.loads(call.function.arguments) for call in choice.message.tool_calls or []]


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("Draw a cat", "black-forest-labs/flux-schnell"),
        ("I would like two paintings of this", "black-forest-labs/flux-schnell"),
        ("Animate this picture", "minimax/video-01"),
        ("Write me a song", "meta/musicgen"),
        ("A 3D mesh of a chair", "cjwbw/shap-e"),
        ("Draw a cat with stability-ai/sdxl:" + "a" * 64 + ".", "stability-ai/sdxl:" + "a" * 64),
        ("Run simulator/image--fail-transient-E1000, please", "simulator/image--fail-transient-e1000"),
        ("Draw it using acme/painter", "acme/painter"),
        ("Draw a black/white cat, see https://cats.test/a-1/b-2", "black-forest-labs/flux-schnell"),
    ],
)
async def test_a_request_to_make_something_calls_a_generation_tool(
    openai_client: openai.AsyncOpenAI, words: str, model: str
) -> None:
    choice = await ask(openai_client, words, tools=[GENERATE])

    [arguments] = arguments_of(choice)
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert arguments["model"] == model
    assert arguments["input"]["prompt"] == words


@pytest.mark.parametrize("words", ["Hello", "Is black/white a colour?", "repeat after me: draw a cat"])
async def test_other_words_call_no_tool(openai_client: openai.AsyncOpenAI, words: str) -> None:
    choice = await ask(openai_client, words, tools=[GENERATE, WEATHER])

    assert choice.message.tool_calls is None


async def test_the_message_sets_the_number_of_outputs_and_calls(openai_client: openai.AsyncOpenAI) -> None:
    three = await ask(openai_client, "3 images of a cat", tools=[GENERATE])
    two = await ask(openai_client, "two small pictures of a cat", tools=[GENERATE])
    twice = await ask(openai_client, "Draw a cat twice", tools=[GENERATE])
    serial = await ask(openai_client, "Draw two different cats", tools=[GENERATE], parallel_tool_calls=False)

    assert [call["input"]["num_outputs"] for call in arguments_of(three) + arguments_of(two)] == [3, 2]
    assert [call["input"]["seed"] for call in arguments_of(twice)] == [1, 2]
    assert len({call.id for call in twice.message.tool_calls}) == 2
    assert len(serial.message.tool_calls) == 1


async def test_another_tool_is_called_by_its_name(openai_client: openai.AsyncOpenAI) -> None:
    choice = await ask(openai_client, "Please get weather", tools=[GENERATE, WEATHER])

    assert choice.message.tool_calls[0].function.name == "get_weather"
    assert arguments_of(choice) == [{"city": "Please get weather", "unit": "celsius", "days": 3}]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", None),
        ("auto", "replicate_generate"),
        ("required", "replicate_generate"),
        ({"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
    ],
)
async def test_the_choice_of_tools_is_respected(
    openai_client: openai.AsyncOpenAI, choice: Any, called: str | None
) -> None:
    answer = await ask(openai_client, "Draw a cat", tools=[WEATHER, GENERATE], tool_choice=choice)

    assert [call.function.name for call in answer.message.tool_calls or []] == ([called] if called else [])


async def test_a_required_call_is_made_for_any_words(openai_client: openai.AsyncOpenAI) -> None:
    choice = await ask(openai_client, "repeat after me: hello", tools=[WEATHER], tool_choice="required")

    assert choice.message.tool_calls[0].function.name == "get_weather"


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"properties": properties}}}


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("What is the weather in Oslo?", ["get_weather"]),
        ("Whether it rains", None),
        ("Find the customer's orders", ["listCustomerOrders"]),
        ("Who is the customer?", None),
        ("Search", None),
    ],
)
async def test_a_tool_is_called_if_the_words_are_about_what_its_name_says(
    openai_client: openai.AsyncOpenAI, words: str, called: list[str] | None
) -> None:
    tools = [tool("get_weather"), tool("listCustomerOrders"), tool("web_search")]

    choice = await ask(openai_client, words, tools=tools)

    assert [call.function.name for call in choice.message.tool_calls or []] == (called or [])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 3),
        ({"type": "number", "exclusiveMinimum": 2, "exclusiveMaximum": 4}, 3),
        ({"type": "integer", "minimum": 4}, 4),
        ({"type": "integer", "exclusiveMaximum": 3}, 1),
        ({"type": "integer", "minimum": -9, "maximum": 2}, 1),
    ],
)
async def test_a_number_is_taken_from_the_words_if_it_is_allowed(
    openai_client: openai.AsyncOpenAI, schema: dict[str, Any], value: int
) -> None:
    choice = await ask(openai_client, "Use double(3), version 1.5", tools=[tool("double", input=schema)])

    assert arguments_of(choice) == [{"input": value}]


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        (["get_weather", "final_answer"], "required", "final_answer"),
        (["get_time", "get_weather"], "required", "get_weather"),
        (["get_time", "get_date"], "required", "get_time"),
        (["get_time", "get_date"], {"type": "function", "function": {"name": "get_date"}}, "get_date"),
    ],
)
async def test_a_call_that_is_forced_after_results_ends_the_work_if_a_tool_does(
    openai_client: openai.AsyncOpenAI, tools: list[str], choice: Any, called: str
) -> None:
    offered = [tool(name, text={"type": "string"}) for name in tools]

    answer = await ask(
        openai_client, "", messages=after_tools("The weather?", "Snow"), tools=offered, tool_choice=choice
    )

    assert [call.function.name for call in answer.message.tool_calls] == [called]
    assert arguments_of(answer) == [{"text": "Snow"}]


async def test_results_may_be_put_into_words(openai_client: openai.AsyncOpenAI) -> None:
    tools = [tool("get_weather", city={"type": "string"}), tool("final_answer", answer={"type": "string"})]

    answer = await ask(openai_client, "Observation:\nSnow", tools=tools, tool_choice="required")

    assert [call.function.name for call in answer.message.tool_calls] == ["final_answer"]
    assert arguments_of(answer) == [{"answer": "Snow"}]


async def test_tool_calls_are_streamed_in_pieces(openai_client: openai.AsyncOpenAI) -> None:
    chunks = await stream(openai_client, "Draw a cat twice", tools=[GENERATE])

    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    openings = [piece for piece in pieces if piece.id]
    assert [(piece.index, piece.type) for piece in openings] == [(0, "function"), (1, "function")]
    for index in (0, 1):
        fragments = [piece.function.arguments for piece in pieces if piece.index == index and piece.function]
        assert len(fragments) > 2
        assert json.loads("".join(str(fragment) for fragment in fragments))["input"]["prompt"] == "Draw a cat twice"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_the_clients_own_accumulator_accepts_streams(openai_client: openai.AsyncOpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Draw a cat twice"}]
    tools: Any = [GENERATE]
    async with openai_client.chat.completions.stream(model="sim-chat", messages=messages, tools=tools) as streamed:
        completion = await streamed.get_final_completion()

    assert len(completion.choices[0].message.tool_calls or []) == 2


def after_tools(words: str, *results: str) -> list[dict[str, Any]]:
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "replicate_generate", "arguments": "{}"}}
        for number in range(len(results))
    ]
    return [
        {"role": "user", "content": words},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": f"call_{n}", "content": result} for n, result in enumerate(results)),
    ]


async def test_the_answer_quotes_the_tool_results(openai_client: openai.AsyncOpenAI) -> None:
    results = ('{"storage_url": "http://files.test/a.png"}', "Listen: http://files.test/b.wav.")

    choice = await ask(openai_client, "", messages=after_tools("Draw a cat", *results), tools=[GENERATE])

    content = choice.message.content
    assert choice.message.tool_calls is None
    assert all(f"> {result}" in content for result in results)
    assert "![Result](http://files.test/a.png)" in content
    assert "\n[Result](http://files.test/b.wav)" in content


async def test_again_and_again_calls_a_tool_in_every_turn(openai_client: openai.AsyncOpenAI) -> None:
    messages = after_tools("Draw a cat again and again", "done")

    choice = await ask(openai_client, "", messages=messages, tools=[GENERATE])

    assert len(choice.message.tool_calls) == 1


async def test_every_tool_that_is_named_is_called(openai_client: openai.AsyncOpenAI) -> None:
    words = "Draw a cat and get weather"
    both = await ask(openai_client, words, tools=[GENERATE, WEATHER])
    first = await ask(openai_client, words, tools=[WEATHER, GENERATE], parallel_tool_calls=False)

    assert [call.function.name for call in both.message.tool_calls] == ["replicate_generate", "get_weather"]
    assert [call.function.name for call in first.message.tool_calls] == ["get_weather"]


async def test_text_may_come_before_a_call(openai_client: openai.AsyncOpenAI) -> None:
    words = 'First say "let me look", then get weather'
    whole = await ask(openai_client, words, tools=[WEATHER])
    chunks = await stream(openai_client, words, tools=[WEATHER])

    assert (whole.message.content, len(whole.message.tool_calls)) == ("let me look", 1)
    *deltas, finish = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "let me look"
    called = [bool(delta.tool_calls) for delta in deltas]
    assert called == sorted(called)
    assert any(called)
    assert finish.tool_calls is None


RUN = {
    "type": "function",
    "function": {"name": "shell", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}},
}


async def test_the_commands_in_the_words_are_run_one_after_another(openai_client: openai.AsyncOpenAI) -> None:
    words = "Run `cat a`, then run `echo <result> > b`."
    messages: list[Any] = [{"role": "user", "content": words}]
    commands = []
    for printed in ("Exit code: 0\nOutput:\nit's\n", "done"):
        choice = await ask(openai_client, words, messages=messages, tools=[RUN])
        commands += arguments_of(choice)
        (call,) = choice.message.tool_calls
        messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": printed}]

    last = await ask(openai_client, words, messages=messages, tools=[RUN])

    assert commands == [{"cmd": "cat a"}, {"cmd": """echo 'it'"'"'s' > b"""}]
    assert last.message.content.endswith("> done")


@pytest.mark.parametrize("tools", [[WEATHER], [RUN]])
async def test_without_a_command_or_a_tool_for_it_none_is_run(
    openai_client: openai.AsyncOpenAI, tools: list[Any]
) -> None:
    words = "Run it" if tools == [RUN] else "Run `ls`"

    assert not arguments_of(await ask(openai_client, words, tools=tools))
