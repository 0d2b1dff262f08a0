// Vercel's AI SDK with one of its providers, which the argument names: `openai` over chat completions, `responses` over
// its default, the Responses API, or `compatible`.

import { createRequire } from "node:module";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embed, embedMany, generateImage, generateText, Output, RetryError, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import {
  ABOUT_WEATHER,
  COUNT,
  EMBEDDER,
  HELLO,
  ORCHESTRATOR,
  PAINTER,
  PICTURE,
  PLACE,
  play,
  refusals,
} from "./case.mjs";

const isCompatible = process.argv[2] === "compatible";
const usesResponses = process.argv[2] === "responses";
const POEM = z.object({ title: z.string(), verses: z.number().int() });

const saying = (name, words) =>
  tool({
    description: `Tells the ${name} of a city.`,
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => `${words} in ${city}`,
  });
const tools = { get_weather: saying("weather", "Snow"), get_time: saying("time", "Noon") };

function providerFor(scenario, key = "every_scope") {
  const settings = { baseURL: scenario.baseURL, apiKey: scenario.keys[key], headers: scenario.headers };
  if (!isCompatible) return createOpenAI(settings);
  const more = { name: "junis", includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible({ ...settings, ...more });
}

function modelFor(scenario, key = "every_scope", model = ORCHESTRATOR) {
  const provider = providerFor(scenario, key);
  return isCompatible || usesResponses ? provider(model) : provider.chat(model);
}

function usageOf({ inputTokens, outputTokens }) {
  return [inputTokens, outputTokens];
}

function callsOf(steps) {
  return steps.flatMap((step) => step.toolCalls).map((call) => ({ name: call.toolName, arguments: call.input }));
}

async function chat(scenario) {
  const { text, usage } = await generateText({ model: modelFor(scenario), prompt: HELLO });
  return { content: text, usage: usageOf(usage) };
}

async function stream(scenario) {
  const result = streamText({ model: modelFor(scenario), prompt: COUNT });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  return { pieces, usage: usageOf(await result.usage) };
}

async function tool_auto(scenario) {
  const model = modelFor(scenario);
  const { text, steps } = await generateText({ model, prompt: ABOUT_WEATHER, tools, stopWhen: stepCountIs(3) });
  return { answer: text, calls: callsOf(steps) };
}

async function tool_required(scenario) {
  const { steps } = await generateText({ model: modelFor(scenario), prompt: PLACE, tools, toolChoice: "required" });
  return { calls: callsOf(steps) };
}

async function tool_named(scenario) {
  const toolChoice = { type: "tool", toolName: "get_time" };
  const { steps } = await generateText({ model: modelFor(scenario), prompt: PLACE, tools, toolChoice });
  return { calls: callsOf(steps) };
}

async function structured(scenario) {
  const output = Output.object({ schema: POEM });
  return { parsed: (await generateText({ model: modelFor(scenario), prompt: HELLO, output })).output };
}

async function structured_stream(scenario) {
  const result = streamText({ model: modelFor(scenario), prompt: HELLO, output: Output.object({ schema: POEM }) });
  let parsed;
  for await (const part of result.partialOutputStream) parsed = part;
  return { parsed };
}

async function image(scenario) {
  const picture = { type: "file", mediaType: "image/png", data: PICTURE };
  const messages = [{ role: "user", content: [{ type: "text", text: HELLO }, picture] }];
  return { content: (await generateText({ model: modelFor(scenario), messages })).text };
}

async function history(scenario) {
  const model = modelFor(scenario);
  const asked = { role: "user", content: HELLO };
  const first = await generateText({ model, messages: [asked] });
  const messages = [asked, ...first.response.messages, asked];
  const second = await generateText({ model, messages });
  return { usages: [usageOf(first.usage), usageOf(second.usage)] };
}

async function session(scenario) {
  if (usesResponses) {
    const first = await generateText({ model: modelFor(scenario), prompt: HELLO });
    const openai = { previousResponseId: first.providerMetadata.openai.responseId };
    const second = await generateText({ model: modelFor(scenario), prompt: HELLO, providerOptions: { openai } });
    return { usages: [usageOf(first.usage), usageOf(second.usage)] };
  }
  const options = { prompt: HELLO, providerOptions: { junis: scenario.conversation } };
  const first = await generateText({ model: modelFor(scenario), ...options });
  const second = await generateText({ model: modelFor(scenario), ...options });
  return { usages: [usageOf(first.usage), usageOf(second.usage)] };
}

async function generated_images(scenario) {
  const model = providerFor(scenario).imageModel(PAINTER);
  const { images } = await generateImage({ model, prompt: "A lighthouse", n: 2, size: "128x72" });
  const sizes = images.map(({ uint8Array }) => Buffer.from(uint8Array)).map((png) => [png.readUInt32BE(16), png.readUInt32BE(20)]);
  return { sizes, types: images.map(({ mediaType }) => mediaType) };
}

async function embeddings(scenario) {
  const model = providerFor(scenario).embeddingModel(EMBEDDER);
  const { embeddings: vectors, usage } = await embedMany({ model, values: [HELLO, PLACE] });
  const { embedding: again } = await embed({ model, value: HELLO });
  return { vectors, again, usage: usage.tokens };
}

function ask(scenario, key, model) {
  return generateText({ model: modelFor(scenario, key, model), prompt: HELLO });
}

function statusOf(error) {
  const cause = RetryError.isInstance(error) ? error.lastError : error;
  return APICallError.isInstance(cause) ? cause.statusCode : null;
}

const { version } = createRequire(import.meta.url)("ai/package.json");
await play(version, {
  ...{ chat, stream, tool_auto, tool_required, tool_named, structured, structured_stream, image, history },
  ...(isCompatible || usesResponses ? { session } : {}),
  ...(usesResponses ? {} : { generated_images, embeddings }),
  ...refusals(ask, statusOf),
});
