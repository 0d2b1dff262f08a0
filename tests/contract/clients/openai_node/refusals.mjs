import { APIError } from "openai";

import { ORCHESTRATOR, says } from "./case.mjs";

/** A key that does not exist. */
function invalid_api_key(scenario) {
  return refused(scenario, scenario.client("unknown"));
}

/** A key that may not chat. */
function scope_not_allowed(scenario) {
  return refused(scenario, scenario.client("lists_agents"));
}

/** An organization without credits. */
function insufficient_credits(scenario) {
  return refused(scenario, scenario.client("without_credits"));
}

/** A session that does not exist. */
function session_not_found(scenario) {
  return refused(scenario, scenario.client(), { session_id: "sess-nobodys" });
}

/** An agent that the organization does not have. */
function agent_not_found(scenario) {
  return refused(scenario, scenario.client(), { model: "agent/nobody" });
}

/** A parameter out of its range. */
function invalid_request(scenario) {
  return refused(scenario, scenario.client(), { temperature: 9 });
}

/** One request more than the plan allows, from a client that does not retry. */
async function rate_limit_exceeded(scenario) {
  const client = scenario.client("one_a_minute").withOptions({ maxRetries: 0 });
  await client.models.list();

  return refused(scenario, client);
}

/** An idempotency key that was used with a different request before. */
async function idempotency_key_reused(scenario) {
  const client = scenario.client();
  const headers = { "Idempotency-Key": scenario.id };
  await client.chat.completions.create({ model: ORCHESTRATOR, messages: says("Hello!") }, { headers });

  return refused(scenario, client, { words: "Something else", headers });
}

/** A model whose vendor fails, so that nobody knows whether the model ran. */
function provider_error(scenario) {
  return refused(scenario, scenario.client(), { model: "agent/broken" });
}

/** The same, if a stream was requested. */
function provider_error_before_a_stream(scenario) {
  return refused(scenario, scenario.client(), { model: "agent/broken", stream: true });
}

/** A model whose vendor refuses requests for longer than the SDK retries. */
function provider_rate_limited(scenario) {
  return refused(scenario, scenario.client(), { model: "agent/busy" });
}

/** The name of a model that does not exist. */
async function model_not_found(scenario) {
  try {
    await scenario.client().models.retrieve("nothing", { headers: scenario.headers });
  } catch (error) {
    return detailsOf(error);
  }
  return {};
}

/** A stream that the vendor ends with an error after three words. */
async function interrupted_stream(scenario) {
  let content = "";
  try {
    const body = { model: "agent/interrupted", words: "Count to 20", stream: true };
    for await (const chunk of await scenario.ask(scenario.client(), body)) {
      content += chunk.choices[0].delta.content ?? "";
    }
  } catch (error) {
    return { ...detailsOf(error), content };
  }
  return {};
}

/** The details of the SDK's error if the request is refused, otherwise nothing. */
async function refused(scenario, client, request = {}) {
  try {
    await scenario.ask(client, request);
  } catch (error) {
    return detailsOf(error);
  }
  return {};
}

/** What an application can read from an error. */
function detailsOf(error) {
  if (!(error instanceof APIError)) throw error;
  return {
    class: error.constructor.name,
    status: error.status ?? null,
    type: error.type ?? null,
    code: error.code ?? null,
    param: error.param ?? null,
    message: error.error?.message ?? null,
    request_id: error.requestID ?? null,
    retry_after: error.headers?.get("retry-after") ?? null,
    should_retry: error.headers?.get("x-should-retry") ?? null,
  };
}

export const scenarios = {
  invalid_api_key,
  scope_not_allowed,
  insufficient_credits,
  session_not_found,
  agent_not_found,
  invalid_request,
  rate_limit_exceeded,
  idempotency_key_reused,
  provider_error,
  provider_error_before_a_stream,
  provider_rate_limited,
  model_not_found,
  interrupted_stream,
};
