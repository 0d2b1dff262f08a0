// Small helpers. Every page works without them.
(() => {
  const root = document.documentElement;

  // The server writes times in the reader's zone once it knows it; until then they are rewritten here.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const isKnown = document.cookie.split("; ").includes(`junis_zone=${zone}`);
  if (zone && !isKnown) {
    document.cookie = `junis_zone=${zone}; path=/admin; max-age=31536000; samesite=lax`;
    const form = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    for (const time of document.querySelectorAll("time[data-local]")) time.textContent = form.format(new Date(time.dateTime));
  }

  function toggleTheme() {
    const isDark = root.classList.contains("dark") || (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.classList.toggle("dark", !isDark);
    root.classList.toggle("light", isDark);
    try {
      localStorage.setItem("theme", isDark ? "light" : "dark");
    } catch {
      // It lasts as long as the page then.
    }
  }

  async function copy(button) {
    const shown = button.closest(".ct")?.querySelector(":checked + label + pre");
    const source = shown ?? document.getElementById(button.dataset.copy);
    const label = button.querySelector("span") ?? button;
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      label.textContent = "Copied";
    } catch {
      // Browsers give no clipboard to pages over plain HTTP: the text is selected instead.
      getSelection().selectAllChildren(source);
      label.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (label.textContent = before), 1600);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-toggle], [data-copy], [data-open], [data-close]");
    if (!button) return;
    if (button.hasAttribute("data-theme-toggle")) toggleTheme();
    else if (button.dataset.copy) copy(button);
    else if (button.dataset.open) {
      document.getElementById(button.dataset.open)?.showModal();
      event.preventDefault();
    } else button.closest("dialog")?.close();
  });

  // The name of a thing has to be typed before a dialog destroys it. The server checks it in any case.
  document.addEventListener("input", ({ target }) => {
    if (target.dataset.mustBe) target.form.querySelector("[data-when-named]").disabled = target.value !== target.dataset.mustBe;
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.isSent) event.preventDefault();
    form.dataset.isSent = "yes";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-is-sent]").forEach((form) => delete form.dataset.isSent));

  // The line under a chart says what the pointer or the focus is on.
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, ({ target }) => {
      const day = target.closest?.("[data-day]");
      const readout = day?.closest("figure")?.querySelector("[data-readout]");
      if (readout) readout.textContent = day.getAttribute("aria-label");
    });
  }

  // One tab stop for a chart; arrows walk its days.
  document.addEventListener("keydown", (event) => {
    const day = event.target.closest?.("[data-day]");
    if (!day) return;
    const days = [...day.closest("svg").querySelectorAll("[data-day]")];
    const at = days.indexOf(day);
    const next = days[{ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: days.length - 1 }[event.key]];
    if (!next) return;
    day.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    event.preventDefault();
  });
})();
