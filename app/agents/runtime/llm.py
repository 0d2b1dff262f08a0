from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import orjson

from app.agents.definition import AgentDefinition
from app.agents.runtime.answer import Answer
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import BETWEEN_TEXTS, REASONING, Delta, Event, Finished
from app.agents.runtime.requests import build_body, fill_in, with_limit
from app.agents.tools.exit_loop import ExitLoop
from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import JsonObject
from app.core.concurrency import all_of

# Of one answer. More at once would be a model gone astray.
_MOST_CALLS = 16
_TOO_MANY_CALLS = '{"error":"too many calls at once: this one was not made"}'
# Why an answer was cut: its last call may lack a part, and the client must not take it for whole.
_CUT = {"length", "content_filter"}


async def run_llm_agent(
    context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject], tools: Mapping[str, ServerTool]
) -> AsyncGenerator[Event]:
    """Call the agent's model until it answers without calling a server tool; see `run_agent`."""
    said = list(messages)
    texts: dict[str, list[str]] = {"content": [], REASONING: []}
    for call_number in range(agent.max_llm_calls):
        answer = Answer({tool["function"]["name"] for tool in context.client_tools})
        try:
            body = call_body(context, agent, said, tools, call_number=call_number)
            async with aclosing(_call(context, agent, body, answer)) as deltas:
                async for delta in _apart_from(texts, deltas):
                    yield delta
            added = [answer.message(), *await _run_tools(tools, answer)]
        except BaseException:  # raised again
            # Cut short: the conversation remembers what the client has seen of it.
            if answer.text:
                context.transcript.append((agent.name, {"role": "assistant", "content": answer.text}))
            raise
        texts["content"] += [answer.text] if answer.text else []
        texts[REASONING] += [answer.reasoning] if answer.reasoning else []
        said += added
        context.transcript.extend((agent.name, message) for message in added)
        if _is_over(context, agent, answer, call_number):
            yield _finished(answer, {name: BETWEEN_TEXTS.join(parts) for name, parts in texts.items()})
            return


def call_body(
    context: RunContext,
    agent: AgentDefinition,
    messages: Sequence[JsonObject],
    tools: Mapping[str, ServerTool],
    *,
    call_number: int,
) -> JsonObject:
    """The request of one call. The last one that the agent may make is offered no server tools: it can only answer."""
    is_last = call_number == agent.max_llm_calls - 1
    own = [] if is_last else [tool.specification for tool in tools.values()]
    route = context.routes[agent.model]
    body = build_body(
        agent,
        model=route.name,
        instruction=fill_in(agent.instruction, context.state),
        parameters=context.parameters,
        messages=messages,
        tools=[*own, *context.client_tools],
        is_first=call_number == 0,
    )
    return with_limit(body, route.max_output_tokens)


def _is_over(context: RunContext, agent: AgentDefinition, answer: Answer, call_number: int) -> bool:
    is_last = call_number == agent.max_llm_calls - 1
    # Others of its loop may have ended it meanwhile: that ends no answer but their own.
    has_left_loop = context.loop is not None and context.loop.is_set and answer.has_called(ExitLoop.name)
    return bool(answer.client_calls) or not answer.server_calls or is_last or has_left_loop


async def _call(context: RunContext, agent: AgentDefinition, body: JsonObject, answer: Answer) -> AsyncGenerator[Delta]:
    call = await context.meter.open_call(agent.model, body)
    upstream = context.routes[agent.model].upstream
    try:
        if not context.is_streamed:
            answer.add_completion(await context.chat_models.complete(upstream, body, timeout=context.timeout))
            return
        async with aclosing(context.chat_models.stream(upstream, body, timeout=context.timeout)) as chunks:
            async for chunk in chunks:
                if delta := answer.add_chunk(chunk):
                    yield delta
    finally:
        # Reached when the call is cut short, too: then what was delivered is paid.
        call.settle(answer.usage, answer.delivered_bytes)


async def _apart_from(earlier: Mapping[str, Sequence[str]], deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta]:
    """The deltas, set apart from what earlier calls of the same turn said."""
    to_set_apart = [name for name, texts in earlier.items() if texts]
    async for delta in deltas:
        for name in [name for name in to_set_apart if delta.delta.get(name)]:
            yield Delta({name: BETWEEN_TEXTS})
            to_set_apart.remove(name)
        yield delta


async def _run_tools(tools: Mapping[str, ServerTool], answer: Answer) -> list[JsonObject]:
    calls = answer.server_calls
    results = await all_of(_run_tool(tools, call) for call in calls[:_MOST_CALLS])
    results += [_TOO_MANY_CALLS] * len(calls[_MOST_CALLS:])
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(calls, results, strict=True)
    ]


async def _run_tool(tools: Mapping[str, ServerTool], call: JsonObject) -> str:
    try:
        arguments = orjson.loads(call["function"]["arguments"] or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        return '{"error":"the arguments are not a JSON object"}'
    tool = tools.get(call["function"]["name"])
    # Models now and then call what they were never offered.
    return await tool.run(arguments) if tool else '{"error":"there is no such tool"}'


def _finished(answer: Answer, texts: Mapping[str, str]) -> Finished:
    message: JsonObject = {"role": "assistant", "content": texts["content"]}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if texts[REASONING]:
        message[REASONING] = texts[REASONING]
    if not answer.client_calls:
        reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
        return Finished(message, reason, answer.logprobs)
    message |= {"content": texts["content"] or None, "tool_calls": answer.client_calls}
    return Finished(message, answer.finish_reason if answer.finish_reason in _CUT else "tool_calls", answer.logprobs)
