// The balance that an amount leads to, while it is typed.
const form = document.querySelector("form[data-available]");
const help = document.getElementById("amount-h");
const PLACES = 6;

function units(text) {
  const found = /^([-\u2212]?)(\d{1,12})(?:\.(\d{0,6}))?$/.exec(text.trim().replaceAll(",", ""));
  if (!found) return null;
  const whole = BigInt(found[2] + (found[3] ?? "").padEnd(PLACES, "0"));
  return found[1] ? -whole : whole;
}

function money(amount) {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(PLACES + 1, "0");
  const whole = digits.slice(0, -PLACES).replace(/\B(?=(\d{3})+$)/g, ",");
  const kept = digits.slice(-PLACES).replace(/0+$/, "");
  const faint = digits.slice(-PLACES).slice(kept.length);
  const shown = document.createElement("span");
  shown.className = "m";
  shown.append((amount < 0n ? "\u2212" : "") + whole + (kept ? `.${kept}` : ""));
  if (faint) shown.append(Object.assign(document.createElement("i"), { textContent: (kept ? "" : ".") + faint }));
  return shown;
}

form?.amount.addEventListener("input", () => {
  const amount = units(form.amount.value);
  const available = units(form.dataset.available);
  if (!help || available === null) return;
  if (amount === null) help.replaceChildren("Available is ", money(available), ".");
  else help.replaceChildren("Available goes from ", money(available), " to ", money(available + amount), ".");
});
