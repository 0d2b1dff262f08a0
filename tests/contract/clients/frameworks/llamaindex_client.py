"""LlamaIndex with its class for servers like OpenAI's."""

import asyncio
import base64
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    EMBEDDER,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    PLACE,
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


TOOLS = [FunctionTool.from_defaults(get_weather), FunctionTool.from_defaults(get_time)]


def _model(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR, **more: Any) -> Any:
    return OpenAILike(
        model=model,
        api_base=case.base_url,
        api_key=case.keys[key],
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=100_000,
        default_headers=case.headers,
        additional_kwargs=more,
    )


def _usage(response: Any) -> list[int]:
    usage = response.raw.usage
    return [usage.prompt_tokens, usage.completion_tokens]


def _says(words: str = HELLO) -> ChatMessage:
    return ChatMessage(role="user", content=words)


def chat(case: Case) -> Json:
    """A whole answer."""
    response = _model(case).chat([_says()])
    return {"content": response.message.content, "usage": _usage(response)}


def stream(case: Case) -> Json:
    """A stream."""
    responses = list(_model(case, stream_options={"include_usage": True}).stream_chat([_says(COUNT)]))
    return {"pieces": [piece.delta for piece in responses if piece.delta], "usage": _usage(responses[-1])}


def _agent_loop(agent: Any) -> Json:
    async def run() -> Json:
        handler = agent.run(ABOUT_WEATHER)
        results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
        calls = [{"name": result.tool_name, "arguments": result.tool_kwargs} for result in results]
        return {"answer": str(await handler), "calls": calls}

    return asyncio.run(run())


def tool_auto(case: Case) -> Json:
    """An agent whose model calls a tool, and answers with its result."""
    return _agent_loop(FunctionAgent(tools=TOOLS, llm=_model(case)))


def _tool_calls(case: Case, **choice: Any) -> Json:
    model = _model(case)
    response = model.chat_with_tools(TOOLS, user_msg=PLACE, **choice)
    calls = model.get_tool_calls_from_response(response)
    return {"calls": [{"name": call.tool_name, "arguments": call.tool_kwargs} for call in calls]}


def tool_required(case: Case) -> Json:
    """The model must call a tool."""
    return _tool_calls(case, tool_required=True)


def tool_named(case: Case) -> Json:
    """The model must call this tool."""
    return _tool_calls(case, tool_choice="get_time")


def react(case: Case) -> Json:
    """An agent without calls of tools, whose model writes what it thinks."""
    agent = ReActAgent(tools=TOOLS, llm=_model(case))
    words = "repeat after me: Thought: I can answer without using any more tools.\nAnswer: Snow"

    async def run() -> str:
        return str(await agent.run(words))

    return {"answer": asyncio.run(run())}


def structured(case: Case) -> Json:
    """A structured answer by a required call."""
    return {"parsed": _model(case).structured_predict(Poem, PromptTemplate(HELLO)).model_dump()}


def structured_model(case: Case) -> Json:
    """A model all of whose answers are structured."""
    return {"parsed": _model(case).as_structured_llm(Poem).chat([_says()]).raw.model_dump()}


def image(case: Case) -> Json:
    """A question about a picture."""
    blocks = [TextBlock(text=HELLO), ImageBlock(image=base64.b64decode(PICTURE), image_mimetype="image/png")]
    return {"content": _model(case).chat([ChatMessage(role="user", blocks=blocks)]).message.content}


def history(case: Case) -> Json:
    """Two turns of a conversation that the client remembers."""
    model = _model(case)
    first = model.chat([_says()])
    return {"usages": [_usage(first), _usage(model.chat([_says(), first.message, _says()]))]}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    model = _model(case, extra_body=case.conversation)
    return {"usages": [_usage(model.chat([_says()])) for _ in range(2)]}


def embeddings(case: Case) -> Json:
    """The vectors of two texts, and that of the first one as a question."""
    model = OpenAILikeEmbedding(
        model_name=EMBEDDER, api_base=case.base_url, api_key=case.key, default_headers=case.headers
    )
    return {"vectors": model.get_text_embedding_batch([HELLO, PLACE]), "again": model.get_query_embedding(HELLO)}


def _ask(case: Case, key: str, model: str) -> None:
    _model(case, key, model).chat([_says()])


if __name__ == "__main__":
    tools = [tool_auto, tool_required, tool_named, react]
    forms = [structured, structured_model]
    play(
        "llama-index-llms-openai-like",
        [chat, stream, *tools, *forms, image, history, session, embeddings, *refusals(_ask)],
    )
