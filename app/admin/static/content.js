// Pages of content that go on by themselves: what is under way, and what media are there. Without it they are looked at again.
const seconds = (value) => (value < 60 ? `${value} s` : value < 3600 ? `${Math.floor(value / 60)} min ${value % 60} s` : `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`);

setInterval(() => {
  for (const place of document.querySelectorAll("[data-since]")) {
    place.textContent = `${seconds(Math.max(0, Math.floor((Date.now() - new Date(place.dataset.since)) / 1000)))} so far`;
  }
}, 1000);

// A frame says that a file is missing instead of showing a broken picture.
function lose(media) {
  if (media.classList.contains("lost") || !media.getAttribute("src")) return;
  media.classList.add("lost");
  const note = document.createElement("span");
  note.className = "st off";
  note.textContent = "The file cannot be loaded";
  media.after(note);
}
document.addEventListener("error", ({ target }) => target.matches?.("[data-media]") && lose(target), true);

// Videos load their first picture when they come near.
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    target.preload = "metadata";
    near.unobserve(target);
  }
}, { rootMargin: "200px" });

function measure(media) {
  const place = media.closest("figure")?.querySelector("[data-measure]");
  const [width, height] = [media.naturalWidth ?? media.videoWidth, media.naturalHeight ?? media.videoHeight];
  if (place && width) place.textContent = `, ${width} × ${height}`;
}

function prepare(part) {
  for (const media of part.querySelectorAll("[data-media]")) {
    if (media.matches("img") && media.complete && !media.naturalWidth && media.loading !== "lazy") lose(media);
    if (media.complete || media.readyState) measure(media);
    media.addEventListener(media.matches("img") ? "load" : "loadedmetadata", () => measure(media));
    if (media.hasAttribute("data-near")) near.observe(media);
  }
  for (const viewer of part.querySelectorAll("model-viewer")) prepareViewer(viewer);
}

function prepareViewer(viewer) {
  const frame = viewer.closest(".view3");
  viewer.addEventListener("load", () => (frame.querySelector(".tools").hidden = false));
  viewer.addEventListener("error", () => frame.classList.add("bare"));
  frame.querySelector("[data-3d=full]").hidden = !document.fullscreenEnabled;
  frame.addEventListener("click", ({ target }) => {
    const act = target.closest("[data-3d]")?.dataset["3d"];
    if (act === "reset") {
      viewer.cameraOrbit = "auto auto auto";
      viewer.fieldOfView = "auto";
      viewer.resetTurntableRotation?.();
    } else if (act === "turn") {
      viewer.autoRotate = !viewer.autoRotate;
      target.closest("button").setAttribute("aria-pressed", viewer.autoRotate);
    } else if (act === "full") frame.requestFullscreen();
  });
}

async function read(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) throw new Error(response.status);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

async function renewTile(list, id) {
  const fresh = (await read(`${list.dataset.tiles}/${id}/tile`)).querySelector("[data-tile]");
  const tile = list.querySelector(`[data-tile="${id}"]`);
  if (!fresh || !tile) return;
  const hadFocus = tile.contains(document.activeElement);
  tile.replaceWith(fresh);
  prepare(fresh);
  if (hadFocus) fresh.querySelector("a").focus();
}

async function renewPage() {
  const fresh = (await read(location.href)).querySelector("main");
  const main = document.querySelector("main");
  const opened = [...main.querySelectorAll("details")].map((fold) => fold.open);
  main.replaceChildren(...fresh.childNodes);
  main.querySelectorAll("details").forEach((fold, place) => (fold.open ||= opened[place] ?? false));
  prepare(main);
}

// One stream for the page, and none while nobody looks at it.
function follow(address, known, onChange) {
  let stream;
  const isOver = () => !Object.keys(known()).length;
  const close = () => stream?.close();
  function open() {
    close();
    if (document.hidden || isOver()) return;
    const versions = Object.entries(known()).map((pair) => pair.join(":"));
    stream = new EventSource(`${address}?known=${encodeURIComponent(versions.join(","))}`);
    stream.addEventListener("change", async ({ data }) => {
      const change = JSON.parse(data);
      await onChange(change).catch(() => {});
      const said = document.getElementById("live");
      if (said && change.is_ended) said.textContent = `${change.id.slice(0, 8)} is ${change.status}.`;
    });
    for (const end of ["done", "gone"]) stream.addEventListener(end, close);
  }
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => persisted && open());
  open();
}

prepare(document);
const list = document.querySelector("[data-events]");
const watched = document.querySelector("[data-watch]");
if (list) {
  const known = () => Object.fromEntries([...list.querySelectorAll("[data-version]")].map((tile) => [tile.dataset.tile, tile.dataset.version]));
  follow(list.dataset.events, known, ({ id }) => renewTile(list, id));
} else if (watched) {
  const id = location.pathname.split("/").pop();
  const known = () => Object.fromEntries([...document.querySelectorAll("[data-watch]")].map((page) => [id, page.dataset.version]));
  follow(watched.dataset.watch, known, renewPage);
}
