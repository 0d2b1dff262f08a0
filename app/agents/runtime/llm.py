import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import orjson

from app.agents.definition import AgentDefinition
from app.agents.runtime.answer import Answer
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import Delta, Event, Finished
from app.agents.runtime.requests import build_body
from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import JsonObject

_BETWEEN_TEXTS = "\n\n"


async def run_llm_agent(
    context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]
) -> AsyncGenerator[Event]:
    """Call the agent's model until it answers without calling a server tool.

    Yields:
        The deltas as they come where the context wants them, and at last the whole answer.

    Raises:
        AppError: a call could not be paid or failed at the provider; what was said before is in the transcript.
    """
    tools = _tools_of(context, agent)
    said = list(messages)
    texts: list[str] = []
    for call_number in range(agent.max_llm_calls):
        is_last = call_number == agent.max_llm_calls - 1
        # Without tools the last call that is allowed can only answer.
        body = _body(context, agent, said, {} if is_last else tools, is_first=call_number == 0)
        answer = Answer(tools)
        try:
            async with aclosing(_call(context, agent, body, answer)) as deltas:
                async for delta in _apart_from(texts, deltas):
                    yield delta
        except BaseException:
            # Cut short: the conversation remembers what the client has seen of it.
            if answer.text:
                context.transcript.append((agent.name, {"role": "assistant", "content": answer.text}))
            raise
        texts += [answer.text] if answer.text else []
        added = [answer.message(), *await _run_tools(tools, answer)]
        said += added
        context.transcript.extend((agent.name, message) for message in added)
        if answer.client_calls or not answer.server_calls or is_last:
            yield _finished(answer, _BETWEEN_TEXTS.join(texts))
            return


def first_body(context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]) -> JsonObject:
    """The request that the agent's run begins with."""
    tools = {} if agent.max_llm_calls == 1 else _tools_of(context, agent)
    return _body(context, agent, messages, tools, is_first=True)


def _body(
    context: RunContext,
    agent: AgentDefinition,
    messages: Sequence[JsonObject],
    tools: Mapping[str, ServerTool],
    *,
    is_first: bool,
) -> JsonObject:
    offered = [tool.specification for tool in tools.values()] + context.client_tools
    return build_body(agent, parameters=context.parameters, messages=messages, tools=offered, is_first=is_first)


def _tools_of(context: RunContext, agent: AgentDefinition) -> dict[str, ServerTool]:
    return {name: tool for name, tool in context.server_tools.items() if name in agent.tools}


async def _call(context: RunContext, agent: AgentDefinition, body: JsonObject, answer: Answer) -> AsyncGenerator[Delta]:
    call = await context.meter.open_call(agent.model, body)
    try:
        if not context.is_streamed:
            answer.add_completion(await context.chat_models.complete(context.upstream, body, timeout=context.timeout))
            return
        async with aclosing(context.chat_models.stream(context.upstream, body, timeout=context.timeout)) as chunks:
            async for chunk in chunks:
                if delta := answer.add_chunk(chunk):
                    yield delta
    finally:
        # Reached when the call is cut short, too: then what was delivered is paid.
        call.settle(answer.usage, answer.delivered_bytes)


async def _apart_from(earlier: Sequence[str], deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta]:
    """The deltas, set apart from what earlier calls of the same turn said."""
    is_apart = not earlier
    async for delta in deltas:
        if not is_apart and "content" in delta.delta:
            yield Delta({"content": _BETWEEN_TEXTS})
            is_apart = True
        yield delta


async def _run_tools(tools: Mapping[str, ServerTool], answer: Answer) -> list[JsonObject]:
    results = await asyncio.gather(*(_run_tool(tools, call) for call in answer.server_calls))
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(answer.server_calls, results, strict=True)
    ]


async def _run_tool(tools: Mapping[str, ServerTool], call: JsonObject) -> str:
    try:
        arguments = orjson.loads(call["function"]["arguments"] or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        return '{"error":"the arguments are not a JSON object"}'
    return await tools[call["function"]["name"]].run(arguments)


def _finished(answer: Answer, text: str) -> Finished:
    message: JsonObject = {"role": "assistant", "content": text}
    if refusal := answer.message().get("refusal"):
        message["refusal"] = refusal
    if not answer.client_calls:
        reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
        return Finished(message, reason, answer.logprobs)
    message |= {"content": text or None, "tool_calls": answer.client_calls}
    return Finished(message, "tool_calls", answer.logprobs)
