import OpenAI from "openai";

export const ORCHESTRATOR = "junis-orchestrator";

/** One scenario of a run: the clients that it may use, and the id by which its requests are recognized. */
export class Case {
  constructor(name, { run, base_url, keys }) {
    this.id = `${run}.${name}`;
    this.baseURL = base_url;
    this.keys = keys;
  }

  get headers() {
    return { "X-Request-ID": this.id };
  }

  /** A client with the SDK's default settings, including its retries. */
  client(key = "every_scope") {
    return new OpenAI({ baseURL: this.baseURL, apiKey: this.keys[key] });
  }

  /** Asks a model to answer these words; returns the SDK's promise. */
  ask(client, { words = "Hello!", model = ORCHESTRATOR, headers = {}, ...body } = {}) {
    return client.chat.completions.create(
      { model, messages: says(words), user: this.id, ...body },
      { headers: { ...this.headers, ...headers } },
    );
  }
}

/** A conversation of one user message with these words. */
export function says(words) {
  return [{ role: "user", content: words }];
}
