// What the programs for Node have in common: the scenarios' words, and how they are played.

import { readFileSync } from "node:fs";

export const ORCHESTRATOR = "junis-orchestrator";
// An agent whose model refuses every request for now.
const BUSY = "agent/busy";

export const HELLO = "Hello!";
export const COUNT = "Count to 20";
export const ABOUT_WEATHER = "What is the weather in Oslo?";
// Nothing in it asks for a tool, so that only a forced model calls one.
export const PLACE = "Oslo?";
// What is asked for without an agent.
export const PAINTER = "black-forest-labs/flux-schnell";
export const EMBEDDER = "sim-embed";
export const PICTURE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** One scenario of a run: where the server is, and the id by which its requests are recognized. */
class Case {
  constructor(name, { run, base_url, keys }) {
    this.id = `${run}.${name}`;
    this.baseURL = base_url;
    this.keys = keys;
  }

  get headers() {
    return { "X-Request-ID": this.id };
  }

  /** Members of a request's body that name a session of the scenario's own. */
  get conversation() {
    return { elevenlabs_extra_body: { conversation_id: this.id } };
  }
}

/** The scenarios of refused requests, for a client that asks with a key of this name for a model. */
export function refusals(ask, statusOf) {
  async function refused(scenario, key, model) {
    try {
      await ask(scenario, key, model);
    } catch (error) {
      const { name } = error.name === "Error" ? error.constructor : error;
      return { class: name, status: statusOf(error) ?? null, message: error.message };
    }
    return {};
  }
  return {
    unknown_key: (scenario) => refused(scenario, "unknown", ORCHESTRATOR),
    without_credits: (scenario) => refused(scenario, "without_credits", ORCHESTRATOR),
    busy: (scenario) => refused(scenario, "every_scope", BUSY),
  };
}

/** Reads the access from standard input, plays every scenario even if others fail, and prints the results. */
export async function play(version, scenarios) {
  const access = JSON.parse(readFileSync(0, "utf8"));
  const results = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      results[name] = await scenario(new Case(name, access));
    } catch (error) {
      results[name] = { unexpected: error.stack };
    }
  }
  process.stdout.write(`\n${JSON.stringify({ version, results })}`);
}
