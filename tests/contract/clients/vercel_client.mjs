// What an application does with Vercel's AI SDK; input and output are like those of the other programs.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const access = JSON.parse(readFileSync(0, "utf8"));

function modelFor(key) {
  const settings = { name: "junis", baseURL: access.base_url, apiKey: access.keys[key] };
  return createOpenAICompatible(settings)("junis-orchestrator");
}

async function refusal() {
  try {
    await generateText({ model: modelFor("unknown"), prompt: "Hello!" });
  } catch (error) {
    if (!APICallError.isInstance(error)) throw error;
    return { status: error.statusCode, is_retryable: error.isRetryable, message: error.message };
  }
  return {};
}

const model = modelFor("every_scope");
const answer = await generateText({ model, prompt: "Hello!" });

const pieces = [];
const stream = streamText({ model, prompt: "Count to 20" });
for await (const piece of stream.textStream) pieces.push(piece);

const get_weather = tool({
  description: "Tells the weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `Snow in ${city}`,
});
const answered = await generateText({
  model,
  prompt: "Please get weather in Oslo",
  tools: { get_weather },
  stopWhen: stepCountIs(2),
});

const summary = {
  version: createRequire(import.meta.url)("ai/package.json").version,
  content: answer.text,
  total_tokens: answer.usage.totalTokens,
  finish_reason: answer.finishReason,
  pieces,
  stream_finish_reason: await stream.finishReason,
  calls: answered.steps[0].toolCalls.map((call) => ({ name: call.toolName, arguments: call.input })),
  answer: answered.text,
  refusal: await refusal(),
};
process.stdout.write(JSON.stringify(summary));
