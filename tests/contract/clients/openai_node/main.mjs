// What an application does with the `openai` package for Node.
//
// Reads JSON from standard input: a name for the run, the base URL, and the API keys, named by what they may do.
// Writes JSON to standard output: the version, and the result of each scenario by its name.

import { readFileSync } from "node:fs";

import { VERSION } from "openai/version";

import { scenarios as answers } from "./answers.mjs";
import { Case } from "./case.mjs";
import { scenarios as images } from "./images.mjs";
import { scenarios as refusals } from "./refusals.mjs";
import { scenarios as repeats } from "./repeats.mjs";
import { scenarios as responses } from "./responses.mjs";
import { scenarios as streams } from "./streams.mjs";
import { scenarios as tools } from "./tools.mjs";

const SCENARIOS = { ...answers, ...streams, ...tools, ...refusals, ...repeats, ...responses, ...images };

const access = JSON.parse(readFileSync(0, "utf8"));
const results = {};
for (const [name, play] of Object.entries(SCENARIOS)) {
  try {
    results[name] = await play(new Case(name, access));
  } catch (error) {
    results[name] = { unexpected: error.stack };
  }
}
process.stdout.write(JSON.stringify({ version: VERSION, results }));
