// Images, speech and vectors, which are made without an agent.

import { toFile } from "openai";

const PAINTER = "black-forest-labs/flux-schnell";
const EDITOR = "simulator/edit--slow-1";
const SPEAKER = "simulator/audio--slow-1";
const EMBEDDER = "sim-embed";

/** Two images of a size by their bytes, and one by its URL alone. */
async function images(scenario) {
  const common = { model: PAINTER, prompt: "A lighthouse", size: "128x72" };
  const generate = (body) => scenario.client().images.generate({ ...common, ...body }, { headers: scenario.headers });
  const byBytes = await generate({ n: 2, response_format: "b64_json" });
  const [only] = (await generate({ response_format: "url" })).data;
  const fetched = await fetch(only.url);

  return {
    sizes: byBytes.data.map((image) => sizeOf(Buffer.from(image.b64_json, "base64"))),
    has_bytes: only.b64_json !== undefined,
    at_url: sizeOf(Buffer.from(await fetched.arrayBuffer())),
  };
}

/** Two images, each as an event. */
async function images_in_a_stream(scenario) {
  const body = { model: PAINTER, prompt: "A lighthouse", n: 2, size: "128x72", stream: true };
  const events = [];
  for await (const event of await scenario.client().images.generate(body, { headers: scenario.headers })) {
    events.push([event.type, sizeOf(Buffer.from(event.b64_json, "base64"))]);
  }
  return { events };
}

/** An image that is changed, given alone and in a list. */
async function changed_images(scenario) {
  const client = scenario.client().images;
  const common = { prompt: "A lighthouse", response_format: "b64_json" };
  const painted = await client.generate({ ...common, model: PAINTER, size: "128x72" }, { headers: scenario.headers });
  const image = () => toFile(Buffer.from(painted.data[0].b64_json, "base64"), "image.png", { type: "image/png" });
  const sizes = [];
  for (const given of [await image(), [await image()]]) {
    const changed = await client.edit({ ...common, model: EDITOR, image: given }, { headers: scenario.headers });
    sizes.push(sizeOf(Buffer.from(changed.data[0].b64_json, "base64")));
  }
  return { sizes };
}

/** A spoken text. */
async function speech(scenario) {
  const body = { model: SPEAKER, voice: "alloy", input: "Good evening" };
  const spoken = await scenario.client().audio.speech.create(body, { headers: scenario.headers });
  const bytes = Buffer.from(await spoken.arrayBuffer());
  return { type: spoken.headers.get("content-type"), begins: bytes.toString("latin1", 0, 4), is_long: bytes.length > 1000 };
}

/** The vectors of two texts, which the SDK asks for in base64, and of the first one as numbers. */
async function embeddings(scenario) {
  const create = (body) =>
    scenario.client().embeddings.create({ model: EMBEDDER, ...body }, { headers: scenario.headers });
  const both = await create({ input: ["Hello!", "Oslo?"] });
  const one = await create({ input: "Hello!", encoding_format: "float" });

  return {
    vectors: both.data.map(({ embedding }) => embedding),
    again: one.data[0].embedding,
    usage: [both.usage.prompt_tokens, both.usage.total_tokens],
  };
}

function sizeOf(png) {
  return [png.readUInt32BE(16), png.readUInt32BE(20)];
}

export const scenarios = { images, images_in_a_stream, changed_images, speech, embeddings };
