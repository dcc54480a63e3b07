// Live pictures of all cameras by one connection; only of those on the screen, and boxes are drawn here.

import { Film, playsFilms } from "./film.js";
import { find, get, keys, make, walk } from "./page.js";

const grid = find("#tiles");
const large = find("#large");
const tiles = new Map();
const onScreen = new Set();
let socket = null;
let shownLarge = null;
let wait = 1000;
let said = "";
// Why the large camera is shown by pictures, in words; null while its film is tried or shown.
let pictures = null;
// Boxes for the film that are ahead of what is on the screen.
let boxes = [];

const people = (count) => (count === 0 ? "nobody" : count === 1 ? "1 person" : `${count} people`);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hourCycle: "h23" });

// -- what is looked at

function look() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const hidden = document.hidden;
  const wanted = JSON.stringify({
    tiles: hidden || shownLarge ? [] : [...onScreen].sort(),
    large: hidden || filming() ? null : shownLarge,
    moving: hidden || pictures !== null ? null : shownLarge,
  });
  if (wanted === said) return;
  said = wanted;
  socket.send(wanted);
}

let looking = null;
function lookSoon() {
  clearTimeout(looking);
  looking = setTimeout(look, 100);
}

const seen = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    if (isIntersecting) onScreen.add(target.dataset.camera);
    else onScreen.delete(target.dataset.camera);
  }
  lookSoon();
}, { rootMargin: "80px" });

document.addEventListener("visibilitychange", () => {
  // It begins anew when somebody looks again.
  if (document.hidden) stopFilm(null);
  look();
});

// -- the film of the large camera: pictures until it is there, and where there is none

const filming = () => large.dataset.shown === "film";

const film = new Film(large.querySelector("video"), () => {
  large.dataset.shown = "film";
  look();
}, (words) => {
  stopFilm(words);
  look();
});

// words: why pictures are shown from now on; null: it may begin again.
function stopFilm(words) {
  large.dataset.shown = "pictures";
  pictures = playsFilms() ? words : "this browser plays no films of cameras";
  boxes = [];
  film.close();
}

// The boxes of what is on the screen: they come a little before or after it.
function drawBoxes(header) {
  boxes.push(header);
  if (boxes.length > 100) boxes.shift();
  if (!filming()) return;
  const now = film.wall();
  const due = now === null ? boxes.length : boxes.filter(({ wall }) => wall <= now + 0.05).length;
  const shown = boxes[Math.max(due, 1) - 1];
  boxes.splice(0, Math.max(due - 1, 0));
  const canvas = large.querySelector("canvas");
  [canvas.width, canvas.height] = shown.size;
  outline(canvas, shown);
  tellLarge(shown, "");
}

function tellLarge(header, slow) {
  const about = `${inWords(header.tracks)}, ${clock(header.wall)}`;
  const how = pictures ? `; pictures, because ${pictures}` : "";
  large.querySelector("canvas").setAttribute("aria-label", `${header.camera}: ${about}`);
  large.querySelector(".facts").textContent = `${tiles.get(header.camera).words}; ${about}${slow}${how}`;
}

// -- drawing

// Who is in the picture, in words: those with names first.
function inWords(tracks) {
  const known = tracks.filter((track) => track.name).map((track) => track.name);
  const others = tracks.length - known.length;
  if (known.length === 0) return people(others);
  return [...new Set(known)].join(", ") + (others ? ` and ${people(others)} more` : "");
}

function draw(canvas, bitmap, header) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  outline(canvas, header);
}

function outline(canvas, header) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const unit = Math.max(1, width / 700);
  pen.font = `600 ${Math.round(13 * unit)}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const { box: [x1, y1, x2, y2], found, name, alert } of header.tracks) {
    const place = [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height];
    // A box that was not found in this frame but predicted is dashed.
    pen.setLineDash(found ? [] : [5 * unit, 4 * unit]);
    pen.lineWidth = 4 * unit;
    pen.strokeStyle = "rgb(0 0 0 / 60%)";
    pen.strokeRect(...place);
    pen.lineWidth = 2 * unit;
    pen.strokeStyle = alert ? "#ff6a5e" : name ? "#ffd75e" : "#5ef08a";
    pen.strokeRect(...place);
    if (!name) continue;
    const wide = pen.measureText(name).width + 8 * unit;
    const tall = 18 * unit;
    const left = Math.max(0, Math.min(place[0], width - wide));
    const bottom = Math.max(tall, place[1]);
    pen.fillStyle = "rgb(0 0 0 / 75%)";
    pen.fillRect(left, bottom - tall, wide, tall);
    pen.fillStyle = "#fff";
    pen.fillText(name, left + 4 * unit, bottom - 2 * unit);
  }
}

async function show(data) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const tile = tiles.get(header.camera);
  if (!tile) return undefined;
  if (header.view === "moving") {
    if (header.camera !== shownLarge || pictures !== null || document.hidden) return undefined;
    if (header.part) film.take(header, data.slice(4 + length));
    else drawBoxes(header);
    return undefined;
  }
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  const about = `${inWords(header.tracks)}, ${clock(header.wall)}`;
  const slow = header.lost > 2 ? `; ${header.lost} pictures left out, this connection or the machine is slow` : "";
  if (header.view === "large") {
    if (header.camera !== shownLarge || filming()) return bitmap.close();
    draw(large.querySelector("canvas"), bitmap, header);
    tellLarge(header, slow);
    return undefined;
  }
  draw(tile.canvas, bitmap, header);
  tile.element.classList.add("has-picture");
  tile.who.textContent = about + slow;
  tile.element.classList.toggle("busy", header.tracks.length > 0);
  return undefined;
}

// -- tiles

function made(name) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const who = make("span", { class: "who-is-there" });
  const health = make("span", { class: "facts" });
  const button = make("button", { type: "button", class: "open", onclick: () => enlarge(name) }, canvas, make("span", { class: "none" }, "no picture yet"), make("span", { class: "unseen" }, `Show ${name} large`));
  const element = make("li", { class: "tile", data: { camera: name } }, button, make("p", {}, make("strong", {}, name), " ", health, who));
  const tile = { element, canvas, who, health, button, words: "" };
  tiles.set(name, tile);
  const after = [...tiles.keys()].sort().indexOf(name);
  grid.insertBefore(element, grid.children[after] || null);
  seen.observe(element);
  return tile;
}

function cameras(list) {
  find("#empty").hidden = list.length > 0;
  const names = new Set(list.map(({ name }) => name));
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue;
    seen.unobserve(tile.element);
    tile.element.remove();
    tiles.delete(name);
    onScreen.delete(name);
    if (shownLarge === name) shrink();
  }
  for (const one of list) {
    const tile = tiles.get(one.name) || made(one.name);
    tile.words = one.words;
    if (tile.health.textContent !== one.words) tile.health.textContent = one.words;
    tile.health.className = one.state === "failed" ? "facts error" : "facts";
    tile.element.classList.toggle("stale", one.state !== "running");
    const none = one.pictures || (one.state === "running" ? "no picture yet" : one.words);
    const shown = tile.button.querySelector(".none");
    if (shown.textContent !== none) shown.textContent = none;
    if (shownLarge === one.name && one.state !== "running") large.querySelector(".facts").textContent = one.words;
  }
  look();
}

function enlarge(name) {
  stopFilm(null);
  shownLarge = name;
  find("#large-name").textContent = name;
  const canvas = large.querySelector("canvas");
  // The tile's last picture, until the first large one comes.
  const small = tiles.get(name).canvas;
  canvas.width = small.width;
  canvas.height = small.height;
  if (small.width && small.height) canvas.getContext("2d").drawImage(small, 0, 0);
  large.querySelector(".facts").textContent = tiles.get(name).words;
  large.hidden = false;
  grid.hidden = true;
  find("#back").focus();
  look();
}

function shrink() {
  const name = shownLarge;
  if (!name) return;
  stopFilm(null);
  shownLarge = null;
  large.hidden = true;
  grid.hidden = false;
  tiles.get(name)?.button.focus();
  look();
}

function beside(step) {
  if (!shownLarge) return;
  const names = [...tiles.keys()].sort();
  enlarge(names[(names.indexOf(shownLarge) + step + names.length) % names.length]);
}

// -- the connection

function state(words, bad = false) {
  const line = find("#connection");
  if (line.textContent !== words) line.textContent = words;
  line.classList.toggle("error", bad);
}

function connect() {
  const address = new URL("/api/v1/live", location.origin);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    wait = 1000;
    said = "";
    state("connected");
    look();
  });
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") cameras(JSON.parse(data).cameras);
    else show(data).catch(() => state("a picture could not be shown", true));
  });
  socket.addEventListener("close", ({ code }) => {
    stopFilm(null);
    if (code === 4401) { location.assign("/login"); return; }
    state("the connection is lost; trying again", true);
    // Whoever was logged out meanwhile is asked to log in again.
    setTimeout(() => { get("/live/cameras").then(connect, connect); }, wait);
    wait = Math.min(wait * 2, 15000);
  });
}

addEventListener("pagehide", () => socket?.close());
find("#back").addEventListener("click", shrink);
keys([
  ["Escape", "all cameras", shrink],
  ["ArrowRight", "the next camera (large)", () => beside(1)],
  ["ArrowLeft", "the camera before (large)", () => beside(-1)],
]);
walk(grid, ".tile .open");
connect();
