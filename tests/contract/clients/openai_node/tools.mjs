import { ORCHESTRATOR, says } from "./case.mjs";
import { helper } from "./streams.mjs";

const WEATHER = tool("get_weather", { city: { type: "string" } });
// The name under which the simulated model calls a tool twice. The agent `plain` has no tool of its own by that name.
const PICTURE = tool("replicate_generate", { model: { type: "string" }, input: { type: "object" } });
const ASK_WEATHER = "Please get weather in Oslo";
const ASK_PICTURES = "Draw a fox twice";

/** The model calls a tool of the client, and answers with its result. */
async function tool_call(scenario) {
  const client = scenario.client();
  const messages = says(ASK_WEATHER);

  const [called] = (await scenario.ask(client, { messages, tools: [WEATHER] })).choices;
  messages.push(called.message);
  for (const call of called.message.tool_calls) {
    messages.push({ role: "tool", tool_call_id: call.id, content: "Snow" });
  }
  const [answered] = (await scenario.ask(client, { messages, tools: [WEATHER] })).choices;

  return {
    ...about(called),
    content: called.message.content,
    answer: answered.message.content,
    answer_finish_reason: answered.finish_reason,
  };
}

/** The model calls a tool of the client twice in one message. */
async function parallel_tool_calls(scenario) {
  const body = { model: "agent/plain", words: ASK_PICTURES, tools: [PICTURE] };
  const completion = await scenario.ask(scenario.client(), body);

  return about(completion.choices[0]);
}

/** The SDK joins the pieces of a call. */
function streamed_tool_call(scenario) {
  return streamed(scenario, { model: ORCHESTRATOR, messages: says(ASK_WEATHER), tools: [WEATHER] });
}

/** The SDK joins the pieces of two calls. */
function streamed_parallel_tool_calls(scenario) {
  return streamed(scenario, { model: "agent/plain", messages: says(ASK_PICTURES), tools: [PICTURE] });
}

async function streamed(scenario, body) {
  const done = [];
  const events = helper(scenario, body);
  events.on("tool_calls.function.arguments.done", (event) => done.push(event));
  const completion = await events.finalChatCompletion();

  return {
    ...about(completion.choices[0]),
    done: done.map((event) => ({ index: event.index, name: event.name, arguments: JSON.parse(event.arguments) })),
  };
}

function about({ finish_reason, message }) {
  return {
    finish_reason,
    types: [...new Set(message.tool_calls.map((call) => call.type))],
    ids: new Set(message.tool_calls.map((call) => call.id)).size,
    calls: message.tool_calls.map((call) => ({
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    })),
  };
}

function tool(name, properties) {
  return { type: "function", function: { name, strict: true, parameters: { type: "object", properties } } };
}

export const scenarios = {
  tool_call,
  parallel_tool_calls,
  streamed_tool_call,
  streamed_parallel_tool_calls,
};
