"""LangChain's `ChatOpenAI`, over either API. What its own suite for chat models tries is not repeated here."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    EMBEDDER,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    PLACE,
    USES_RESPONSES,
    Case,
    Json,
    Poem,
    play,
    refusals,
    weather,
)


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather(city)


def get_time(city: str) -> str:
    """Tells the time of a city."""
    return f"Noon in {city}"


TOOLS = [get_weather, get_time]


def _model(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any) -> Any:
    options |= {"use_responses_api": True, "output_version": "v0"} if USES_RESPONSES else {}
    return ChatOpenAI(
        model=model, base_url=case.base_url, api_key=case.keys[key], default_headers=case.headers, **options
    )


def _usage(message: Any) -> list[int]:
    return [message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]]


def _text(message: Any) -> str:
    """The text of a message, whose content may be a list of parts."""
    return str(message.text)


def _calls(message: Any) -> list[Json]:
    return [{"name": call["name"], "arguments": call["args"]} for call in message.tool_calls]


def chat(case: Case) -> Json:
    """A whole answer."""
    answer = _model(case).invoke(HELLO)
    return {"content": _text(answer), "usage": _usage(answer)}


def stream(case: Case) -> Json:
    """A stream."""
    chunks = list(_model(case, stream_usage=True).stream(COUNT))
    whole = sum(chunks[1:], start=chunks[0])
    return {"pieces": [_text(chunk) for chunk in chunks if _text(chunk)], "usage": _usage(whole)}


def tool_auto(case: Case) -> Json:
    """The model calls a tool, and answers with its result."""
    model, asked = _model(case).bind_tools(TOOLS), HumanMessage(ABOUT_WEATHER)
    called = model.invoke([asked])
    results = [ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
    return {"calls": _calls(called), "answer": _text(model.invoke([asked, called, *results]))}


def tool_required(case: Case) -> Json:
    """The model must call a tool."""
    return {"calls": _calls(_model(case).bind_tools(TOOLS, tool_choice="any").invoke(PLACE))}


def tool_named(case: Case) -> Json:
    """The model must call this tool."""
    return {"calls": _calls(_model(case).bind_tools(TOOLS, tool_choice="get_time").invoke(PLACE))}


def structured(case: Case) -> Json:
    """A structured answer."""
    return {"parsed": _model(case).with_structured_output(Poem).invoke(HELLO).model_dump()}


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = {"type": "image", "base64": PICTURE, "mime_type": "image/png"}
    return {"content": _text(_model(case).invoke([HumanMessage([{"type": "text", "text": HELLO}, picture])]))}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    if USES_RESPONSES:
        first = _model(case).invoke(HELLO)
        second = _model(case).invoke(HELLO, previous_response_id=first.response_metadata["id"])
        return {"usages": [_usage(first), _usage(second)]}
    model = _model(case, extra_body=case.conversation)
    return {"usages": [_usage(model.invoke(HELLO)) for _ in range(2)]}


def embeddings(case: Case) -> Json:
    """The vectors of two texts, and that of the first one as a question."""
    model = OpenAIEmbeddings(
        model=EMBEDDER,
        base_url=case.base_url,
        api_key=case.key,
        default_headers=case.headers,
        check_embedding_ctx_length=False,
    )
    return {"vectors": model.embed_documents([HELLO, PLACE]), "again": model.embed_query(HELLO)}


def _ask(case: Case, key: str, model: str) -> None:
    _model(case, key, model).invoke(HELLO)


if __name__ == "__main__":
    tools = [tool_auto, tool_required, tool_named]
    others = [] if USES_RESPONSES else [embeddings]
    play("langchain-openai", [chat, stream, *tools, structured, image, session, *others, *refusals(_ask)])
