from openai import LengthFinishReasonError
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json, says


class Poem(BaseModel):
    """The form of the structured answers."""

    title: str
    verses: int


def chat(case: Case) -> Json:
    """An answer, read through the SDK's own types."""
    completion = case.ask(case.client())

    (choice,) = completion.choices
    return {
        **_about(completion),
        "object": completion.object,
        "role": choice.message.role,
        "content": choice.message.content,
        "finish_reason": choice.finish_reason,
        "request_id": completion._request_id,
    }


def session(case: Case) -> Json:
    """Two turns of one conversation that the server remembers."""
    client = case.client()

    first = case.ask(client)
    second = case.ask(client, body={"session_id": _extra(first, "session_id")})

    return {"first": _about(first), "second": _about(second)}


def headers(case: Case) -> Json:
    """The headers of a response to a request without a request id from the client."""
    raw = case.client().chat.completions.with_raw_response.create(model=ORCHESTRATOR, messages=says("Hello!"))

    return {"headers": {name.lower(): value for name, value in raw.headers.items()}, **_about(raw.parse())}


def structured(case: Case) -> Json:
    """A structured answer."""
    completion = case.client().chat.completions.parse(
        model=ORCHESTRATOR,
        messages=says("Hello!"),
        response_format=Poem,
        user=case.id,
        extra_headers=case.headers,
    )

    parsed = completion.choices[0].message.parsed
    return {"parsed": parsed and parsed.model_dump()}


def structured_too_long(case: Case) -> Json:
    """A structured answer that is cut off by the limit of tokens."""
    try:
        case.client().chat.completions.parse(
            model=ORCHESTRATOR, messages=says("Hello!"), response_format=Poem, max_tokens=1, extra_headers=case.headers
        )
    except LengthFinishReasonError as error:
        return {"class": type(error).__name__}
    return {}


def models(case: Case) -> Json:
    """The accepted values of `model`."""
    client = case.client()

    listed = client.models.list(extra_headers=case.headers)
    plain = client.models.retrieve("agent/plain", extra_headers=case.headers)

    return {"ids": [model.id for model in listed], "retrieved": {"id": plain.id, "object": plain.object}}


def _about(completion: ChatCompletion) -> Json:
    usage = completion.usage
    return {
        "id": completion.id,
        "model": completion.model,
        "session_id": _extra(completion, "session_id"),
        "usage": usage and [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
    }


def _extra(completion: ChatCompletion, name: str) -> object:
    return (completion.model_extra or {}).get(name)


SCENARIOS = (chat, session, headers, structured, structured_too_long, models)
