import asyncio
from collections.abc import Iterable

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from tests.contract.clients.openai_python.answers import Poem
from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json, says

COUNT = "Count to 20"


def stream(case: Case) -> Json:
    """A stream, chunk by chunk."""
    with case.client().chat.completions.create(
        model=ORCHESTRATOR, messages=says(COUNT), stream=True, user=case.id, extra_headers=case.headers
    ) as chunks:
        return {**_about(list(chunks)), "request_id": chunks.response.headers["x-request-id"]}


def stream_with_usage(case: Case) -> Json:
    """A stream of the asynchronous client, which asks for the usage."""
    client = case.client()

    async def read() -> list[ChatCompletionChunk]:
        async with AsyncOpenAI(base_url=client.base_url, api_key=client.api_key) as asynchronous:
            chunks = await asynchronous.chat.completions.create(
                model=ORCHESTRATOR,
                messages=says(COUNT),
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=case.headers,
            )
            return [chunk async for chunk in chunks]

    return _about(asyncio.run(read()))


def stream_helper(case: Case) -> Json:
    """A stream that the SDK joins to one completion."""
    with case.client().chat.completions.stream(
        model=ORCHESTRATOR,
        messages=says(COUNT),
        stream_options={"include_usage": True},
        extra_headers=case.headers,
    ) as events:
        kinds = {event.type for event in events}
        completion = events.get_final_completion()

    usage = completion.usage
    return {
        "events": sorted(kinds),
        "content": completion.choices[0].message.content,
        "finish_reason": completion.choices[0].finish_reason,
        "total_tokens": usage and usage.total_tokens,
    }


def structured_stream(case: Case) -> Json:
    """A streamed structured answer."""
    with case.client().chat.completions.stream(
        model=ORCHESTRATOR, messages=says("Hello!"), response_format=Poem, extra_headers=case.headers
    ) as events:
        parsed = events.get_final_completion().choices[0].message.parsed

    return {"parsed": parsed and parsed.model_dump()}


def stream_of_something_made(case: Case) -> Json:
    """A stream in whose course a content is generated."""
    chunks = case.client().chat.completions.create(
        model=ORCHESTRATOR,
        messages=says("Please make simulator/text of a lighthouse"),
        stream=True,
        extra_headers=case.headers,
    )

    last = list(chunks)[-1]
    return {"made": (last.model_extra or {}).get("generated_content")}


def abandoned_stream(case: Case) -> Json:
    """A stream that the client closes before its end, and a further request by the same client."""
    client = case.client()
    with client.chat.completions.create(
        model=ORCHESTRATOR, messages=says(f"{COUNT} slowly"), stream=True, extra_headers=case.headers
    ) as chunks:
        first = next(iter(chunks))

    return {"role": first.choices[0].delta.role, "content": case.ask(client).choices[0].message.content}


def _about(chunks: list[ChatCompletionChunk]) -> Json:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "ids": len({chunk.id for chunk in chunks}),
        "objects": sorted({chunk.object for chunk in chunks}),
        "session_id": (chunks[0].model_extra or {}).get("session_id"),
        "roles": _present(choice.delta.role for choice in choices),
        "pieces": _present(choice.delta.content for choice in choices),
        "finish_reasons": _present(choice.finish_reason for choice in choices),
        "usages": [chunk.usage and chunk.usage.total_tokens for chunk in chunks],
        "without_choices": [not chunk.choices for chunk in chunks].count(True),
    }


def _present(values: Iterable[str | None]) -> list[str]:
    return [value for value in values if value]


SCENARIOS = (
    stream,
    stream_with_usage,
    stream_helper,
    structured_stream,
    stream_of_something_made,
    abandoned_stream,
)
