import time
from typing import Any

from openai import NotFoundError

from tests.contract.clients.openai_python.answers import Poem
from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json

_WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def responses(case: Case) -> Json:
    """The Responses API: an answer, one that goes on from it, one that is read again, and one that is deleted."""
    client: Any = case.client().responses
    common: Json = {"model": ORCHESTRATOR, "extra_headers": case.headers}
    first = client.create(input="Hello!", **common)
    second = client.create(input="And you?", previous_response_id=first.id, **common)
    kept = client.retrieve(second.id)
    items = list(client.input_items.list(second.id))
    client.delete(second.id)
    return {
        "text": first.output_text,
        "tokens": [each.usage.input_tokens for each in (first, second) if each.usage],
        "is_kept": kept.output_text == second.output_text and kept.previous_response_id == first.id,
        "items": [item.type for item in items],
        "is_gone": _is_gone(lambda: client.retrieve(second.id)),
    }


def responses_in_pieces(case: Case) -> Json:
    """Streams of responses, as events and put together by the SDK."""
    client: Any = case.client().responses
    common: Json = {"model": ORCHESTRATOR, "extra_headers": case.headers}
    events = list(client.create(input="Count to 20", stream=True, **common))
    with client.stream(input="Count to 20", **common) as helped:
        kinds = {event.type for event in helped}
        whole = helped.get_final_response()
    return {
        "pieces": [event.delta for event in events if event.type == "response.output_text.delta"],
        "last": events[-1].type,
        "whole": whole.output_text,
        "is_helped": "response.output_text.delta" in kinds,
    }


def responses_in_the_background(case: Case) -> Json:
    """A response that is asked for until it has ended, one that is cancelled, and a stream that is gone on with."""
    client: Any = case.client().responses
    common: Json = {"model": ORCHESTRATOR, "extra_headers": case.headers}
    begun = client.create(input="Hello!", background=True, **common)
    ended = begun
    while ended.status in {"queued", "in_progress"}:
        time.sleep(0.1)
        ended = client.retrieve(begun.id)
    seen: list[Any] = []
    stream = client.create(input="Count to 20", background=True, stream=True, **common)
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    shown = seen[0].response
    rest = list(client.retrieve(shown.id, stream=True, starting_after=seen[-1].sequence_number))
    joined = [*seen, *rest]
    return {
        "begun": begun.status,
        "ended": [ended.status, ended.output_text],
        "cancelled": client.cancel(begun.id).status,
        "numbers": [event.sequence_number for event in joined],
        "pieces": [event.delta for event in joined if event.type == "response.output_text.delta"],
        "last": joined[-1].type,
        "whole": joined[-1].response.output_text,
    }


def responses_with_tools(case: Case) -> Json:
    """A call of a function and its output, and a structured answer."""
    client: Any = case.client().responses
    common: Json = {"model": ORCHESTRATOR, "extra_headers": case.headers}
    asked = client.create(input="Please get weather in Oslo", tools=[_WEATHER], **common)
    (call,) = [item for item in asked.output if item.type == "function_call"]
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "Snow"}]
    answer = client.create(input=output, previous_response_id=asked.id, tools=[_WEATHER], **common)
    parsed = client.parse(input="Hello!", text_format=Poem, **common).output_parsed
    return {
        "call": [call.name, call.arguments],
        "answer": answer.output_text,
        "parsed": parsed.model_dump() if parsed else None,
    }


def _is_gone(read: Any) -> bool:
    try:
        read()
    except NotFoundError:
        return True
    return False


SCENARIOS = (responses, responses_in_pieces, responses_in_the_background, responses_with_tools)
