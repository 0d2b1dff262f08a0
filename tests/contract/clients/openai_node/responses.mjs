import { zodTextFormat } from "openai/helpers/zod";

import { Poem } from "./answers.mjs";
import { ORCHESTRATOR } from "./case.mjs";

const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "Tells the weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

function asking(scenario) {
  const client = scenario.client().responses;
  const options = { headers: scenario.headers };
  return {
    client,
    create: (body) => client.create({ model: ORCHESTRATOR, ...body }, options),
    parse: (body) => client.parse({ model: ORCHESTRATOR, ...body }, options),
    stream: (body) => client.stream({ model: ORCHESTRATOR, ...body }, options),
  };
}

/** The Responses API: an answer, one that goes on from it, one that is read again, and one that is deleted. */
async function responses(scenario) {
  const { client, create } = asking(scenario);
  const first = await create({ input: "Hello!" });
  const second = await create({ input: "And you?", previous_response_id: first.id });
  const kept = await client.retrieve(second.id);
  const items = [];
  for await (const item of client.inputItems.list(second.id)) items.push(item.type);
  await client.delete(second.id);
  const isGone = await client.retrieve(second.id).then(
    () => false,
    (error) => error.status === 404,
  );

  return {
    text: first.output_text,
    tokens: [first.usage.input_tokens, second.usage.input_tokens],
    is_kept: kept.output_text === second.output_text && kept.previous_response_id === first.id,
    items,
    is_gone: isGone,
  };
}

/** Streams of responses, as events and put together by the SDK. */
async function responses_in_pieces(scenario) {
  const { create, stream } = asking(scenario);
  const events = [];
  for await (const event of await create({ input: "Count to 20", stream: true })) events.push(event);
  const helped = stream({ input: "Count to 20" });
  let isHelped = false;
  helped.on("response.output_text.delta", () => {
    isHelped = true;
  });
  const whole = await helped.finalResponse();

  return {
    pieces: events.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta),
    last: events.at(-1).type,
    whole: whole.output_text,
    is_helped: isHelped,
  };
}

/** A response that is asked for until it has ended, one that is cancelled, and a stream that is gone on with. */
async function responses_in_the_background(scenario) {
  const { client, create } = asking(scenario);
  const begun = await create({ input: "Hello!", background: true });
  let ended = begun;
  while (["queued", "in_progress"].includes(ended.status)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    ended = await client.retrieve(begun.id);
  }
  const joined = [];
  for await (const event of await create({ input: "Count to 20", background: true, stream: true })) {
    joined.push(event);
    if (event.type === "response.output_text.delta") break;
  }
  const starting_after = joined.at(-1).sequence_number;
  const rest = await client.retrieve(joined[0].response.id, { stream: true, starting_after });
  for await (const event of rest) joined.push(event);

  const last = joined.at(-1);
  return {
    begun: begun.status,
    ended: [ended.status, ended.output_text],
    cancelled: (await client.cancel(begun.id)).status,
    numbers: joined.map(({ sequence_number }) => sequence_number),
    pieces: joined.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta),
    last: last.type,
    whole: last.response.output[0].content[0].text,
  };
}

/** A call of a function and its output, and a structured answer. */
async function responses_with_tools(scenario) {
  const { create, parse } = asking(scenario);
  const asked = await create({ input: "Please get weather in Oslo", tools: [WEATHER] });
  const [call] = asked.output.filter(({ type }) => type === "function_call");
  const answer = await create({
    input: [{ type: "function_call_output", call_id: call.call_id, output: "Snow" }],
    previous_response_id: asked.id,
    tools: [WEATHER],
  });
  const parsed = await parse({ input: "Hello!", text: { format: zodTextFormat(Poem, "poem") } });

  return { call: [call.name, call.arguments], answer: answer.output_text, parsed: parsed.output_parsed };
}

export const scenarios = { responses, responses_in_pieces, responses_in_the_background, responses_with_tools };
