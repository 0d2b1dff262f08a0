import { zodResponseFormat } from "openai/helpers/zod";

import { Poem } from "./answers.mjs";
import { ORCHESTRATOR, says } from "./case.mjs";

const COUNT = "Count to 20";

/** A stream, chunk by chunk. */
async function stream(scenario) {
  const { data, response } = await scenario.ask(scenario.client(), { words: COUNT, stream: true }).withResponse();

  return { ...about(await all(data)), request_id: response.headers.get("x-request-id") };
}

/** A stream whose client asks for the usage. */
async function stream_with_usage(scenario) {
  const chunks = await scenario.ask(scenario.client(), {
    words: COUNT,
    stream: true,
    stream_options: { include_usage: true },
  });

  return about(await all(chunks));
}

/** A stream that the SDK joins to one completion. */
async function stream_helper(scenario) {
  const kinds = new Set();
  const events = helper(scenario, { messages: says(COUNT), stream_options: { include_usage: true } });
  for (const kind of ["chunk", "content.delta", "content.done"]) events.on(kind, () => kinds.add(kind));
  const completion = await events.finalChatCompletion();

  return {
    events: [...kinds].sort(),
    content: completion.choices[0].message.content,
    finish_reason: completion.choices[0].finish_reason,
    total_tokens: completion.usage.total_tokens,
  };
}

/** A streamed structured answer. */
async function structured_stream(scenario) {
  const events = helper(scenario, { messages: says("Hello!"), response_format: zodResponseFormat(Poem, "poem") });
  const completion = await events.finalChatCompletion();

  return { parsed: completion.choices[0].message.parsed };
}

/** A stream in whose course a content is generated. */
async function stream_of_something_made(scenario) {
  const words = "Please make simulator/text of a lighthouse";
  const chunks = await all(await scenario.ask(scenario.client(), { words, stream: true }));

  return { made: chunks.at(-1).generated_content };
}

/** A stream that the client closes before its end, and a further request by the same client. */
async function abandoned_stream(scenario) {
  const client = scenario.client();
  const seen = [];
  for await (const chunk of await scenario.ask(client, { words: `${COUNT} slowly`, stream: true })) {
    seen.push(chunk);
    break;
  }
  const completion = await scenario.ask(client);

  return { role: seen[0].choices[0].delta.role, content: completion.choices[0].message.content };
}

/** The SDK's helper for streams. */
export function helper(scenario, body, headers = {}) {
  return scenario.client().chat.completions.stream(
    { model: ORCHESTRATOR, user: scenario.id, ...body },
    { headers: { ...scenario.headers, ...headers } },
  );
}

async function all(chunks) {
  const found = [];
  for await (const chunk of chunks) found.push(chunk);
  return found;
}

function about(chunks) {
  const choices = chunks.flatMap((chunk) => chunk.choices);
  return {
    ids: new Set(chunks.map((chunk) => chunk.id)).size,
    objects: [...new Set(chunks.map((chunk) => chunk.object))],
    session_id: chunks[0].session_id,
    roles: choices.map((choice) => choice.delta.role).filter(Boolean),
    pieces: choices.map((choice) => choice.delta.content).filter(Boolean),
    finish_reasons: choices.map((choice) => choice.finish_reason).filter(Boolean),
    usages: chunks.map((chunk) => chunk.usage?.total_tokens ?? null),
    without_choices: chunks.filter((chunk) => chunk.choices.length === 0).length,
  };
}

export const scenarios = {
  stream,
  stream_with_usage,
  stream_helper,
  structured_stream,
  stream_of_something_made,
  abandoned_stream,
};
