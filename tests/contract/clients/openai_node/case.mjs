import OpenAI from "openai";

export const ORCHESTRATOR = "junis-orchestrator";

/** One scenario of a run: with which clients it asks, and how its requests are known again. */
export class Case {
  constructor(name, { run, base_url, keys }) {
    this.id = `${run}.${name}`;
    this.baseURL = base_url;
    this.keys = keys;
  }

  get headers() {
    return { "X-Request-ID": this.id };
  }

  /** A client with the SDK's own settings, its repetitions included. */
  client(key = "every_scope") {
    return new OpenAI({ baseURL: this.baseURL, apiKey: this.keys[key] });
  }

  /** Has a model answer these words; a promise as the SDK makes it. */
  ask(client, { words = "Hello!", model = ORCHESTRATOR, headers = {}, ...body } = {}) {
    return client.chat.completions.create(
      { model, messages: says(words), user: this.id, ...body },
      { headers: { ...this.headers, ...headers } },
    );
  }
}

/** A conversation in which a user says these words. */
export function says(words) {
  return [{ role: "user", content: words }];
}
