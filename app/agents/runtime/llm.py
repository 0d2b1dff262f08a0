import logging
from collections.abc import Mapping, Sequence

import orjson

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun, LoopSignal
from app.agents.runtime.answer import Answer
from app.agents.runtime.events import BETWEEN_TEXTS, REASONING, Delta, Finished, Say
from app.agents.runtime.model_call_body import build_body, fill_in
from app.agents.runtime.model_calls import ModelCalls
from app.agents.runtime.tool_arguments import ToolArgumentsError, parse_arguments
from app.agents.tools.protocol import ServerTool, ToolCall
from app.chat_models.finish_reasons import CUT
from app.chat_models.protocol import JsonObject
from app.core.concurrency import all_of
from app.core.errors import AppError
from app.core.span_names import Attribute, SpanName
from app.core.tracing import spanning

# In one answer. A model that asks for more has gone wrong.
_MOST_CALLS = 16
_TOO_MANY_CALLS = "too many calls at once: this one was not made"

logger = logging.getLogger(__name__)


class LlmAgents:
    """Runs LLM agents.

    Args:
        models: calls the chat models.
        state: texts by their keys, which instructions refer to as `{key}`.
    """

    def __init__(self, models: ModelCalls, state: Mapping[str, str]) -> None:
        self._models = models
        self._state = state

    async def run(self, run: AgentRun, tools: Mapping[str, ServerTool], first_body: JsonObject, say: Say) -> Finished:
        """Call the agent's model until it answers without calling a server tool; see `AgentRunner.start`."""
        agent, body, said = run.agent, first_body, list(run.messages)
        texts: dict[str, list[str]] = {"content": [], REASONING: []}
        # The agent's own signal: the loop may also be ended by others, which does not end this agent's answer.
        exit_signal = LoopSignal(outer=run.loop) if run.loop else None
        for call_number in range(agent.max_llm_calls):
            answer = Answer({tool["function"]["name"] for tool in run.client_tools})
            try:
                if call_number > 0:
                    body = self._body(run, said, tools, call_number)
                await self._call(run, body, answer, _separated(texts, say))
            except BaseException:  # raised again
                # The answer was cut short: the conversation keeps what the client has seen of it.
                if answer.text:
                    run.say(answer.text)
                raise
            said += await _reply(run, tools, answer, exit_signal)
            texts["content"] += [answer.text] if answer.text else []
            texts[REASONING] += [answer.reasoning] if answer.reasoning else []
            if _is_over(agent, answer, call_number, exit_signal):
                return _finished(answer, {name: BETWEEN_TEXTS.join(parts) for name, parts in texts.items()})
        raise AppError

    def first_body(self, run: AgentRun, tools: Mapping[str, ServerTool]) -> JsonObject:
        """The body of the model call that the run begins with."""
        return self._body(run, run.messages, tools, call_number=0)

    async def _call(self, run: AgentRun, body: JsonObject, answer: Answer, say: Say) -> None:
        """Call the agent's model and collect what it says in `answer`. Say what the client may see of it."""
        await self._models.call(
            run.agent.name,
            run.agent.model,
            body,
            answer,
            say if run.is_streamed else None,
            of_client=run.parameters.keys(),
        )
        if run.is_streamed and (rest := answer.rest()):
            await say([rest])
        if answer.left_out_calls:
            logger.warning("calls_left_out", extra={"agent": run.agent.name, "left_out": answer.left_out_calls})

    def _body(
        self, run: AgentRun, messages: Sequence[JsonObject], tools: Mapping[str, ServerTool], call_number: int
    ) -> JsonObject:
        # The agent's last call offers no server tools, so that the model has to answer.
        agent = run.agent
        own = [] if _is_last(agent, call_number) else [tool.specification for tool in tools.values()]
        route = self._models.routes[agent.model]
        body = build_body(
            agent,
            model=route.name,
            instruction=fill_in(agent.instruction, self._state),
            parameters=run.parameters,
            messages=messages,
            tools=[*own, *run.client_tools],
            keeps_choice=call_number == 0 or run.must_call_client,
        )
        return route.with_limit(body)


def _is_last(agent: AgentDefinition, call_number: int) -> bool:
    return call_number == agent.max_llm_calls - 1


def _is_over(agent: AgentDefinition, answer: Answer, call_number: int, exit_signal: LoopSignal | None) -> bool:
    has_left_loop = exit_signal is not None and exit_signal.is_set
    return bool(answer.client_calls) or not answer.server_calls or _is_last(agent, call_number) or has_left_loop


def _separated(earlier: Mapping[str, Sequence[str]], say: Say) -> Say:
    """Say with a separator before the first piece of each kind if earlier calls of the run said something."""
    to_separate = [name for name, texts in earlier.items() if texts]
    if not to_separate:
        return say

    async def say_separated(deltas: Sequence[Delta]) -> None:
        said: list[Delta] = []
        for delta in deltas:
            for name in [name for name in to_separate if delta.delta.get(name)]:
                said.append(Delta({name: BETWEEN_TEXTS}))
                to_separate.remove(name)
            said.append(delta)
        await say(said)

    return say_separated


async def _reply(
    run: AgentRun, tools: Mapping[str, ServerTool], answer: Answer, exit_signal: LoopSignal | None
) -> list[JsonObject]:
    """Add a complete answer and the results of its server tools to the transcript, and return these messages."""
    message, begun_before = answer.message(), len(run.below_runs)
    # Before the tools run: the conversation keeps the answer even if one of them fails. Of parts it keeps the texts.
    is_in_parts = isinstance(message["content"], list)
    run.transcript.append((run.agent.name, {**message, "content": answer.text or None} if is_in_parts else message))
    results = await _run_tools(tools, answer, exit_signal)
    run.transcript.extend((run.agent.name, result) for result in results)
    # What the agents that were called as tools have answered is in the results.
    del run.below_runs[begun_before:]
    return [message, *results]


async def _run_tools(
    tools: Mapping[str, ServerTool], answer: Answer, exit_signal: LoopSignal | None
) -> list[JsonObject]:
    """Run the server tools that the answer calls, all at the same time. The messages with their results, in order."""
    calls = answer.server_calls
    results = await all_of(_run_tool(tools, call, exit_signal) for call in calls[:_MOST_CALLS])
    results += [_error(_TOO_MANY_CALLS)] * len(calls[_MOST_CALLS:])
    if answer.left_out_calls and calls[_MOST_CALLS:]:
        results[-1] = _error(f"{_TOO_MANY_CALLS}, nor were {answer.left_out_calls} more, which are left out here")
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(calls, results, strict=True)
    ]


async def _run_tool(tools: Mapping[str, ServerTool], call: JsonObject, exit_signal: LoopSignal | None) -> str:
    try:
        arguments = parse_arguments(call["function"]["arguments"])
    except ToolArgumentsError as error:
        return _error(str(error))
    name = call["function"]["name"]
    tool = tools.get(name)
    if tool is None:
        # Models sometimes call tools that they were never offered.
        return _error("there is no such tool")
    described = {Attribute.GEN_AI_OPERATION: "execute_tool", Attribute.GEN_AI_TOOL: name}
    with spanning(SpanName.TOOL, described, tool=name):
        return await tool.run(ToolCall(arguments, exit_signal))


def _error(reason: str) -> str:
    return orjson.dumps({"error": reason}).decode()


def _finished(answer: Answer, texts: Mapping[str, str]) -> Finished:
    message: JsonObject = {"role": "assistant", "content": texts["content"]}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if texts[REASONING]:
        message[REASONING] = texts[REASONING]
    if not answer.client_calls:
        reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
        return Finished(message, reason, answer.logprobs)
    message |= {"content": texts["content"] or None, "tool_calls": answer.client_calls, **answer.additions}
    return Finished(message, answer.finish_reason if answer.finish_reason in CUT else "tool_calls", answer.logprobs)
