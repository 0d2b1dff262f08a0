import { says } from "./case.mjs";
import { helper } from "./streams.mjs";

/** A model whose vendor refuses once, so that the SDK's second request succeeds. */
async function recovering_provider(scenario) {
  const completion = await scenario.ask(scenario.client(), { model: "agent/recovering" });

  return { content: completion.choices[0].message.content };
}

/** One request sent twice under one Idempotency-Key. */
async function idempotent(scenario) {
  const request = { headers: { "Idempotency-Key": scenario.id } };

  const first = await scenario.ask(scenario.client(), request).withResponse();
  const second = await scenario.ask(scenario.client(), request).withResponse();

  const answers = [first, second];
  return {
    replayed: answers.map(({ response }) => response.headers.get("idempotent-replayed")),
    ids: new Set(answers.map(({ data }) => data.id)).size,
    contents: answers.map(({ data }) => data.choices[0].message.content),
  };
}

/** The same with streams, joined by the SDK. */
async function idempotent_stream(scenario) {
  const first = await repeatable(scenario);
  const second = await repeatable(scenario);

  const completions = [first, second];
  return {
    ids: new Set(completions.map((completion) => completion.id)).size,
    contents: completions.map((completion) => completion.choices[0].message.content),
    finish_reasons: completions.map((completion) => completion.choices[0].finish_reason),
  };
}

function repeatable(scenario) {
  const headers = { "Idempotency-Key": scenario.id };
  return helper(scenario, { messages: says("Count to 20") }, headers).finalChatCompletion();
}

export const scenarios = { recovering_provider, idempotent, idempotent_stream };
