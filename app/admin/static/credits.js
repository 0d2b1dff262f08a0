// The range applies as soon as it is chosen. Without scripts its button does.
for (const select of document.querySelectorAll("select[data-apply]")) {
  select.form.querySelector("button").remove();
  select.addEventListener("change", () => select.form.submit());
}
