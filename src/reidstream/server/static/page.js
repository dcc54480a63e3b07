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

// What was written for somebody who asked for their own pictures.
export const disclosed = (result) => `${visits(result.visits)}, ${result.clips} with a clip, ${(result.bytes / 1e6).toFixed(1)} MB`
  + (result.left_out ? `; ${visits(result.left_out)} left out, not surely theirs` : "")
  + "; look at every picture before you hand it out.";

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

// The page's own keys, and what its user presses instead.
const bound = new Map();
const page = document.body.dataset.page;
const changeable = Boolean(document.body.dataset.keys);
let chosen = changeable ? JSON.parse(document.body.dataset.keys) : {};
const pressed = (key) => chosen[key] || key;
const named = (key) => (key === " " ? "Space" : key);

// Keys of this page; they do nothing while somebody types.
export function keys(list) {
  for (const [key, text, action] of list) bound.set(key, { text, action });
  nameKeys();
}

// What stands on buttons is what is pressed.
function nameKeys() {
  for (const shown of document.querySelectorAll("kbd[data-key]")) shown.textContent = named(pressed(shown.dataset.key));
}

export function typing(target) {
  return target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
  if (typing(event.target) || find("dialog[open]")) return;
  const meant = [...bound.keys()].find((key) => pressed(key) === event.key);
  if (meant === undefined || (meant === "u" && !undoing)) return;
  event.preventDefault();
  bound.get(meant).action(event);
});

// Arrow keys walk through the cards of a grid; one of them is in the tab order.
export function walk(grid, selector) {
  const cards = () => [...grid.querySelectorAll(selector)];
  let current = null;
  const only = (card) => {
    if (current === card) return;
    if (current) current.tabIndex = -1;
    current = card;
    card.tabIndex = 0;
  };
  new MutationObserver((changes) => {
    for (const change of changes) for (const added of change.addedNodes) {
      const card = added.matches?.(selector) ? added : added.querySelector?.(selector);
      if (card && card !== current) card.tabIndex = -1;
    }
    if (current && grid.contains(current)) return;
    const first = grid.querySelector(selector);
    if (first) only(first);
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
    "IdentitiesResolved", "GalleryImported", "AlertRaised", "AlertWithdrawn"]) source.addEventListener(kind, soon);
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
  const { elsewhere } = await post("/logout", {}).catch(() => ({}));
  location.assign(elsewhere || "/login");
});

// Which of the page's keys is being given another one.
let changing = null;

function help() {
  changing = null;
  find("#help-problem").textContent = "";
  drawHelp();
  find("#help").showModal();
}

function drawHelp() {
  const list = find("#help dl");
  list.replaceChildren();
  for (const [key, { text }] of bound) {
    const shown = make("kbd", {}, named(pressed(key)));
    // Keys with names (Enter, Escape) are what they are everywhere.
    const fixed = !changeable || key.length > 1 || key === "?" || key === " ";
    const button = fixed ? shown : make("button", { type: "button", class: "quiet key", data: { own: key }, "aria-label": `${text}: ${pressed(key)}. Change`, onclick: () => { changing = key; drawHelp(); } }, changing === key ? "press a key" : shown);
    list.append(make("dt", {}, button), make("dd", {}, text));
  }
  find("#own-keys").hidden = !changeable || Object.keys(chosen).length === 0;
  if (changing !== null) list.querySelector(`[data-own="${CSS.escape(changing)}"]`)?.focus();
}

async function setKeys(wanted) {
  try {
    const { keys: all } = await ask("PUT", "/keys", { json: { page, keys: wanted } });
    chosen = all[page] || {};
    find("#help-problem").textContent = "";
  } catch (error) { find("#help-problem").textContent = error.message; }
  nameKeys();
  drawHelp();
}

find("#help").addEventListener("keydown", (event) => {
  if (changing === null || ["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const key = changing;
  changing = null;
  if (event.key === "Escape") { drawHelp(); find("#help").querySelector(`[data-own="${CSS.escape(key)}"]`)?.focus(); return; }
  const other = [...bound.keys()].find((one) => one !== key && pressed(one) === event.key);
  if (event.key.length > 1 || event.key === " ") find("#help-problem").textContent = "Letters, digits and signs can be chosen.";
  else if (other !== undefined) find("#help-problem").textContent = `${event.key} is taken: ${bound.get(other).text}.`;
  else {
    const wanted = { ...chosen, [key]: event.key };
    if (event.key === key) delete wanted[key];
    setKeys(wanted);
    return;
  }
  drawHelp();
});
find("#own-keys").addEventListener("click", () => setKeys({}));
bound.set("u", { text: "take back what was done last", action: takeBack });
bound.set("?", { text: "these keys", action: help });
find("#keys")?.addEventListener("click", help);
nameKeys();
