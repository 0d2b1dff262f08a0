// Runs turns of the playground without leaving the page. Without it, the form shows the whole answer.
const form = document.getElementById("ask");
const bubbles = form.querySelector(".bubbles");
const say = form.elements.say;
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const end = document.getElementById("end");
const token = form.elements.csrf.value;
let running = null;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const nearEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;

function follow(change) {
  const isFollowing = nearEnd();
  change();
  if (isFollowing) scrollTo({ top: document.documentElement.scrollHeight });
}

function element(name, classes, text = "") {
  const made = document.createElement(name);
  made.className = classes;
  made.textContent = text;
  return made;
}

function refuse(message) {
  document.getElementById("refused")?.remove();
  if (!message) return;
  const refused = element("div", "say bad");
  refused.id = "refused";
  refused.setAttribute("role", "alert");
  refused.append(element("p", "", message));
  end.prepend(refused);
}

function freshName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What is shown until the turn has ended: what was typed, and the answer as it arrives.
function draft(data) {
  const section = element("div", "turn");
  for (const result of data.getAll("result")) section.append(element("div", "me said live", result));
  if (data.get("say").trim()) section.append(element("div", "me said live", data.get("say").trim()));
  const answer = element("div", "bot");
  const words = element("p", "said live");
  words.dir = "auto";
  const caret = element("span", "caret");
  caret.setAttribute("aria-hidden", "true");
  answer.append(words, caret);
  section.append(answer);
  return { section, answer, words, caret };
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const lines = buffer.split("\n");
    buffer = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
  }
}

function take(turn, event) {
  if (event.type === "begin") turn.id = event.turn;
  else if (event.type === "text") turn.words.append(event.text);
  else if (event.type === "media") {
    const shown = turn.answer.querySelector(`[data-content="${event.id}"]`);
    const made = document.createRange().createContextualFragment(event.html);
    if (shown) shown.replaceWith(made);
    else turn.caret.before(made);
  } else if (event.type === "error") refuse(event.message);
  else if (event.type === "end") finish(turn.section, event);
}

function finish(section, state) {
  if (state.html.trim()) section.replaceWith(document.createRange().createContextualFragment(state.html));
  document.getElementById("sums").innerHTML = state.sums;
  form.elements.session.value = state.session;
  history.replaceState(null, "", `${form.dataset.page}?session=${encodeURIComponent(state.session)}`);
  if (state.is_pending) watch(state.turn);
}

async function stateOf(turn) {
  const response = await fetch(`${form.dataset.turns}/${encodeURIComponent(turn)}`);
  return response.ok ? response.json() : null;
}

// Contents may finish long after their turn.
async function watch(turn) {
  for (let pause = 1000; ; pause = Math.min(pause * 1.3, 10000)) {
    await sleep(pause);
    const state = await stateOf(turn);
    const section = bubbles.querySelector(`[data-turn="${CSS.escape(turn)}"]`);
    if (!state || !section) return;
    const fresh = document.createRange().createContextualFragment(state.html).querySelector("[data-turn]");
    for (const made of fresh.querySelectorAll("[data-content]")) {
      const shown = section.querySelector(`[data-content="${CSS.escape(made.dataset.content)}"]`);
      if (shown?.hasAttribute("data-pending") && !made.hasAttribute("data-pending")) follow(() => shown.replaceWith(made));
    }
    document.getElementById("sums").innerHTML = state.sums;
    if (!state.is_pending) return;
  }
}

// A turn that was stopped is charged and stored a moment later.
async function settled(turn) {
  if (turn.id) {
    for (let tries = 0; tries < 40; tries += 1) {
      const state = await stateOf(turn.id);
      if (state && !state.is_running) return finish(turn.section, state);
      await sleep(250);
    }
  }
  turn.caret.remove();
  turn.answer.append(element("p", "sub", "Stopped"));
}

async function refusalOf(response) {
  const shown = await response.json().catch(() => ({}));
  const [first] = Object.values(shown.fields ?? {});
  return first ?? shown.message ?? `The server refused it (${response.status}). Load the page again.`;
}

async function run() {
  const data = new FormData(form);
  const turn = draft(data);
  running = new AbortController();
  refuse();
  bubbles.querySelector(".none")?.remove();
  const results = [...bubbles.querySelectorAll(".results")];
  results.forEach((each) => (each.hidden = true));
  follow(() => bubbles.append(turn.section));
  say.value = "";
  busy(true);
  try {
    const response = await fetch(form.dataset.turns, {
      method: "POST", body: new URLSearchParams(data), headers: { "X-CSRF-Token": token }, signal: running.signal,
    });
    if (!response.ok || !response.headers.get("content-type").startsWith("text/event-stream")) throw new Error(await refusalOf(response));
    for await (const event of events(response.body)) follow(() => take(turn, event));
    turn.caret.remove();
    results.forEach((each) => each.remove());
  } catch (error) {
    if (running.signal.aborted) await settled(turn);
    else {
      turn.section.remove();
      results.forEach((each) => (each.hidden = false));
      say.value = data.get("say");
      refuse(error instanceof TypeError ? "The connection was lost. The turn may have ended: load the page again." : error.message);
    }
  } finally {
    running = null;
    form.elements.once.value = freshName();
    busy(false);
    showCode();
    say.focus({ preventScroll: true });
  }
}

function busy(isBusy) {
  send.hidden = isBusy;
  stop.hidden = !isBusy;
}

let codeTimer = 0;
function showCode() {
  clearTimeout(codeTimer);
  codeTimer = setTimeout(async () => {
    const response = await fetch(form.dataset.code, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-CSRF-Token": token },
    });
    if (!response.ok) return;
    const code = document.getElementById("code");
    const chosen = code.querySelector("input:checked")?.id;
    code.innerHTML = await response.text();
    if (chosen) document.getElementById(chosen).checked = true;
  }, 400);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation();
  if (!running) run();
});
stop.addEventListener("click", () => running?.abort());
say.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
form.addEventListener("input", (event) => {
  if (event.target.name !== "sample") showCode();
  if (event.target.name === "agent") say.placeholder = `Ask ${event.target.selectedOptions[0].textContent}`;
});
for (const section of bubbles.querySelectorAll(".turn[data-pending]")) watch(section.dataset.turn);
