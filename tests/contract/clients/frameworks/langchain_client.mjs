// LangChain's `ChatOpenAI` for JavaScript, over either API.

import { createRequire } from "node:module";

import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";

import { ABOUT_WEATHER, COUNT, EMBEDDER, HELLO, ORCHESTRATOR, PICTURE, PLACE, play, refusals } from "./case.mjs";

const useResponsesApi = process.argv[2] === "responses";
const POEM = z.object({ title: z.string(), verses: z.number().int() });

const saying = (name, words) =>
  tool(({ city }) => `${words} in ${city}`, {
    name: `get_${name}`,
    description: `Tells the ${name} of a city.`,
    schema: z.object({ city: z.string() }),
  });
const weather = saying("weather", "Snow");
const tools = [weather, saying("time", "Noon")];

function modelFor(scenario, { key = "every_scope", model = ORCHESTRATOR, ...options } = {}) {
  const configuration = { baseURL: scenario.baseURL, defaultHeaders: scenario.headers };
  return new ChatOpenAI({ model, apiKey: scenario.keys[key], configuration, useResponsesApi, ...options });
}

function usageOf({ usage_metadata: usage }) {
  return [usage.input_tokens, usage.output_tokens];
}

function callsOf(message) {
  return message.tool_calls.map((call) => ({ name: call.name, arguments: call.args }));
}

async function chat(scenario) {
  const answer = await modelFor(scenario).invoke(HELLO);
  return { content: answer.text, usage: usageOf(answer) };
}

async function stream(scenario) {
  const pieces = [];
  let whole;
  for await (const chunk of await modelFor(scenario).stream(COUNT)) {
    whole = whole ? whole.concat(chunk) : chunk;
    if (chunk.text) pieces.push(chunk.text);
  }
  return { pieces, usage: usageOf(whole) };
}

async function tool_auto(scenario) {
  const model = modelFor(scenario).bindTools(tools);
  const asked = new HumanMessage(ABOUT_WEATHER);
  const called = await model.invoke([asked]);
  const results = await Promise.all(
    called.tool_calls.map(async (call) => {
      const { content } = await weather.invoke(call);
      return new ToolMessage({ content, tool_call_id: call.id });
    }),
  );
  const answered = await model.invoke([asked, called, ...results]);
  return { calls: callsOf(called), answer: answered.text };
}

async function tool_required(scenario) {
  return { calls: callsOf(await modelFor(scenario).bindTools(tools, { tool_choice: "any" }).invoke(PLACE)) };
}

async function tool_named(scenario) {
  return { calls: callsOf(await modelFor(scenario).bindTools(tools, { tool_choice: "get_time" }).invoke(PLACE)) };
}

async function structured(scenario) {
  return { parsed: await modelFor(scenario).withStructuredOutput(POEM).invoke(HELLO) };
}

async function structured_call(scenario) {
  const model = modelFor(scenario).withStructuredOutput(POEM, { method: "functionCalling" });
  return { parsed: await model.invoke(HELLO) };
}

async function image(scenario) {
  const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${PICTURE}` } };
  const asked = new HumanMessage({ content: [{ type: "text", text: HELLO }, picture] });
  return { content: (await modelFor(scenario).invoke([asked])).text };
}

async function history(scenario) {
  const model = modelFor(scenario);
  const first = await model.invoke(HELLO);
  const second = await model.invoke([new HumanMessage(HELLO), new AIMessage(first.text), new HumanMessage(HELLO)]);
  return { usages: [usageOf(first), usageOf(second)] };
}

async function session(scenario) {
  if (useResponsesApi) {
    const first = await modelFor(scenario).invoke(HELLO);
    const second = await modelFor(scenario).invoke(HELLO, { previous_response_id: first.response_metadata.id });
    return { usages: [usageOf(first), usageOf(second)] };
  }
  const model = modelFor(scenario, { modelKwargs: scenario.conversation });
  return { usages: [usageOf(await model.invoke(HELLO)), usageOf(await model.invoke(HELLO))] };
}

async function embeddings(scenario) {
  const configuration = { baseURL: scenario.baseURL, defaultHeaders: scenario.headers };
  const model = new OpenAIEmbeddings({ model: EMBEDDER, apiKey: scenario.keys.every_scope, configuration });
  return { vectors: await model.embedDocuments([HELLO, PLACE]), again: await model.embedQuery(HELLO) };
}

// By itself it repeats refusals up to six times, for a minute.
function ask(scenario, key, model) {
  return modelFor(scenario, { key, model, maxRetries: 1 }).invoke(HELLO);
}

const { version } = createRequire(import.meta.url)("@langchain/openai/package.json");
await play(version, {
  ...{ chat, stream, tool_auto, tool_named, structured, structured_call, image, history, session },
  // Over the Responses API it leaves out every choice of tools that is a word.
  ...(useResponsesApi ? {} : { tool_required, embeddings }),
  ...refusals(ask, (error) => error.status),
});
