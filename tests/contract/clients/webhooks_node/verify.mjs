// Verifies deliveries with the reference library: reads them from standard input, prints what each says.

import { Webhook } from "standardwebhooks";

let text = "";
for await (const chunk of process.stdin) text += chunk;

const said = JSON.parse(text).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers).type;
  } catch (error) {
    return error.constructor.name;
  }
});
console.log(JSON.stringify(said));
