// What every page needs: asking the server, making elements, saying what happened, keys.

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || `the server answered ${status}`);
    this.status = status;
    this.document = document;
  }
}

export async function ask(method, path, { json, body, type, params } = {}) {
  const address = new URL(`/api/v1${path}`, location.origin);
  for (const [key, value] of Object.entries(params || {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") address.searchParams.append(key, one);
    }
  }
  const headers = {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (type) headers["Content-Type"] = type;
  const sent = json !== undefined ? JSON.stringify(json) : body;
  let response;
  try {
    response = await fetch(address, { method, headers, body: sent });
  } catch {
    throw new Problem(0, { detail: "the server does not answer; it may be starting again" });
  }
  let document = {};
  try {
    document = await response.json();
  } catch { /* an answer without a document */ }
  if (response.status === 401 && !location.pathname.startsWith("/login")) location.assign("/login");
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

export const get = (path, params) => ask("GET", path, { params });
export const post = (path, json) => ask("POST", path, { json });

// An element; children are text or elements, so that a name is never read as markup.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key in element && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (selector) => document.querySelector(selector);
export const role = () => ["viewer", "reviewer", "operator", "admin"].indexOf(document.body.dataset.role);
export const may = (name) => role() >= ["viewer", "reviewer", "operator", "admin"].indexOf(name);

export const called = (person) => person.name || `person ${person.number}`;

export function moment(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  const date = new Date(seconds * 1000);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleString([], { year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export const visits = (count) => `${count.toLocaleString()} ${count === 1 ? "visit" : "visits"}`;

export function lasting(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const percent = (value) => `${Math.round(100 * value)} %`;

export function picture(tracklet, width, text) {
  const image = make("img", { alt: text, loading: "lazy", decoding: "async", src: `/api/v1/tracklets/${tracklet}/crop?w=${width}` });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "blank", role: "img", "aria-label": text }, "no picture")));
  return image;
}

export function say(text) {
  find("#said").textContent = "";
  requestAnimationFrame(() => { find("#said").textContent = text; });
}

let undoing = null;

// What was done stays on the page until something else is done, so that it can be taken back.
export function done(text, undo = null) {
  const toast = find("#toast");
  toast.querySelector("p").textContent = text;
  undoing = undo;
  toast.querySelector(".undo").hidden = undo === null;
  toast.hidden = false;
  say(text);
}

export const failed = (error) => done(error instanceof Problem ? error.message : String(error));

async function takeBack() {
  if (undoing === null) return;
  const undo = undoing;
  undoing = null;
  find("#toast").hidden = true;
  try {
    await undo();
  } catch (error) {
    failed(error);
  }
}

// A decision with its undo; ``after`` is called after both.
export async function decide(decision, after) {
  const entry = await post("/decisions", decision);
  done(`${entry.summary}.`, async () => {
    const back = await post("/decisions", { kind: "undo", operation: entry.id });
    done(`${back.summary}.`);
    await after();
  });
  await after();
  return entry;
}

export const seenOf = (...people) =>
  Object.fromEntries(people.flatMap((person) => person.tracklets.map((t) => [typeof t === "string" ? t : t.id, person.id])));

const bound = new Map();

// Keys of this page; they do nothing while somebody types.
export function keys(list) {
  for (const [key, text, action] of list) bound.set(key, { text, action });
}

export function typing(target) {
  return target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
  if (typing(event.target) || find("dialog[open]")) return;
  if (event.key === "u" && undoing) { event.preventDefault(); takeBack(); return; }
  const found = bound.get(event.key);
  if (found) { event.preventDefault(); found.action(event); }
});

// Arrow keys walk through the cards of a grid; one of them is in the tab order.
export function walk(grid, selector) {
  const cards = () => [...grid.querySelectorAll(selector)];
  const only = (card) => cards().forEach((one) => { one.tabIndex = one === card ? 0 : -1; });
  new MutationObserver(() => {
    const all = cards();
    if (all.length && !all.some((one) => one.tabIndex === 0)) only(all[0]);
  }).observe(grid, { childList: true });
  grid.addEventListener("focusin", (event) => {
    const card = event.target.closest(selector);
    if (card && grid.contains(card)) only(card);
  });
  grid.addEventListener("keydown", (event) => {
    const all = cards();
    const at = all.indexOf(event.target.closest(selector));
    if (at < 0) return;
    const across = Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: all.length - 1 - at }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
    only(next);
    next.focus();
  });
}

// Calls ``changed`` soon after something has happened in the gallery; the browser connects again by itself.
export function listen(changed, wait = 1000) {
  let timer = null;
  const source = new EventSource("/api/v1/events/stream");
  const soon = () => {
    if (timer === null) timer = setTimeout(() => { timer = null; changed(); }, wait);
  };
  for (const kind of ["TrackletStored", "IdentityCreated", "IdentitySeenAgain", "IdentityMerged", "IdentitySplit", "IdentityLabelled",
    "TrackletMoved", "TrackletRejected", "DuplicatesLabelled", "IdentitiesApart", "IdentityConfirmed", "OperationUndone",
    "IdentitiesResolved", "GalleryImported"]) source.addEventListener(kind, soon);
  addEventListener("pagehide", () => source.close());
  return source;
}

export async function fillCameras(select) {
  const { cameras } = await get("/names-of-cameras");
  for (const camera of cameras) select.append(make("option", { value: camera }, camera));
}

export async function fillNames(list) {
  const { names } = await get("/names", { limit: 500 });
  list.replaceChildren(...names.map(({ name }) => make("option", { value: name })));
}

for (const name of ["reviewer", "operator", "admin"]) {
  for (const element of document.querySelectorAll(`.needs-${name}`)) element.hidden = !may(name);
}

find("#toast .undo").addEventListener("click", takeBack);
find("#toast .close").addEventListener("click", () => { find("#toast").hidden = true; });
find("#logout")?.addEventListener("click", async () => {
  await post("/logout", {}).catch(() => {});
  location.assign("/login");
});

function help() {
  const list = find("#help dl");
  list.replaceChildren();
  const all = [...bound].map(([key, { text }]) => [key, text]).concat([["u", "take back what was done last"]]);
  for (const [key, text] of all) {
    list.append(make("dt", {}, make("kbd", {}, key === " " ? "Space" : key)), make("dd", {}, text));
  }
  find("#help").showModal();
}
bound.set("?", { text: "these keys", action: help });
find("#keys")?.addEventListener("click", help);
