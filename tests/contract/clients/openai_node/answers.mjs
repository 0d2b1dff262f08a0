import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { ORCHESTRATOR, says } from "./case.mjs";

/** The form of the structured answers. */
export const Poem = z.object({ title: z.string(), verses: z.number() });

/** An answer, read through the SDK's own types. */
async function chat(scenario) {
  const completion = await scenario.ask(scenario.client());

  const [choice] = completion.choices;
  return {
    ...about(completion),
    object: completion.object,
    role: choice.message.role,
    content: choice.message.content,
    finish_reason: choice.finish_reason,
    request_id: completion._request_id,
  };
}

/** Two turns of one conversation that the server remembers. */
async function session(scenario) {
  const client = scenario.client();

  const first = await scenario.ask(client);
  const second = await scenario.ask(client, { session_id: first.session_id });

  return { first: about(first), second: about(second) };
}

/** The headers of a response to a request without a request id from the client. */
async function headers(scenario) {
  const { data, response } = await scenario
    .client()
    .chat.completions.create({ model: ORCHESTRATOR, messages: says("Hello!") })
    .withResponse();

  return { headers: Object.fromEntries(response.headers), ...about(data) };
}

/** A structured answer. */
async function structured(scenario) {
  const completion = await parse(scenario);

  return { parsed: completion.choices[0].message.parsed };
}

/** A structured answer that is cut off by the limit of tokens. */
async function structured_too_long(scenario) {
  try {
    await parse(scenario, { max_tokens: 1 });
  } catch (error) {
    return { class: error.constructor.name };
  }
  return {};
}

/** The accepted values of `model`. */
async function models(scenario) {
  const client = scenario.client();

  const ids = [];
  for await (const model of client.models.list({ headers: scenario.headers })) ids.push(model.id);
  const plain = await client.models.retrieve("agent/plain", { headers: scenario.headers });

  return { ids, retrieved: { id: plain.id, object: plain.object } };
}

function parse(scenario, body = {}) {
  return scenario.client().chat.completions.parse(
    {
      model: ORCHESTRATOR,
      messages: says("Hello!"),
      response_format: zodResponseFormat(Poem, "poem"),
      user: scenario.id,
      ...body,
    },
    { headers: scenario.headers },
  );
}

function about({ id, model, session_id, usage }) {
  return { id, model, session_id, usage: [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens] };
}

export const scenarios = { chat, session, headers, structured, structured_too_long, models };
