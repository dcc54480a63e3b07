// Regions of a source's picture, drawn on it: such that do not count, and with a name, zones.

import { ask, done, failed, find, get, make, say } from "./page.js";

const dialog = find("#masking");
const svg = find("#regions");
// How near to the first corner a click closes the region, in parts of the picture.
const NEAR = 0.02;
const STEP = 0.01;
// Each with its corners and the name of the zone, "" for what does not count.
let regions = [];
let corners = [];
let cross = null;

function shape(name, values) {
  const element = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  return element;
}

const points = (list) => list.map(([x, y]) => `${x},${y}`).join(" ");

function draw() {
  const drawn = regions.map(({ name, corners: own }) => shape("polygon", { class: name ? "region zone" : "region", points: points(own) }));
  if (corners.length) drawn.push(shape("polyline", { class: "open", points: points(corners) }));
  for (const [x, y] of corners) drawn.push(shape("circle", { class: "corner", cx: x, cy: y, r: 0.006 }));
  if (cross) {
    const [x, y] = cross;
    drawn.push(shape("path", { class: "cross", d: `M${x - 0.02} ${y}H${x + 0.02}M${x} ${y - 0.03}V${y + 0.03}` }));
  }
  svg.replaceChildren(...drawn);
}

// The list beside the picture; typing into it draws only the picture anew.
function list() {
  draw();
  find("#region-list").replaceChildren(...regions.map((region, n) => {
    const name = make("input", { value: region.name, maxlength: 64, placeholder: "does not count", autocomplete: "off" });
    name.addEventListener("input", () => { region.name = name.value.trim(); draw(); });
    return make("li", {},
      make("span", { class: "what" }, `Region ${n + 1}, ${region.corners.length} corners`),
      make("label", {}, "Zone ", name),
      make("button", { type: "button", class: "quiet", onclick: () => { regions.splice(n, 1); list(); } }, "Remove"));
  }));
}

function close() {
  if (corners.length < 3) { say("A region needs three corners or more."); return; }
  regions.push({ name: "", corners });
  corners = [];
  say(`${regions.length} regions`);
  list();
}

function add(x, y) {
  const corner = [x, y].map((part) => Math.round(1e4 * Math.min(1, Math.max(0, part))) / 1e4);
  const first = corners[0];
  if (corners.length >= 3 && Math.hypot(first[0] - corner[0], first[1] - corner[1]) < NEAR) { close(); return; }
  corners.push(corner);
  say(`${corners.length} corners`);
  draw();
}

svg.addEventListener("click", (event) => {
  const sides = svg.getBoundingClientRect();
  add((event.clientX - sides.left) / sides.width, (event.clientY - sides.top) / sides.height);
});

svg.addEventListener("keydown", (event) => {
  const far = event.shiftKey ? 5 * STEP : STEP;
  const way = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
  if (way) cross = [0, 1].map((n) => Math.min(1, Math.max(0, (cross || [0.5, 0.5])[n] + way[n])));
  else if (event.key === " ") { cross = cross || [0.5, 0.5]; add(...cross); }
  else if (event.key === "c" || event.key === "Enter") close();
  else if (event.key === "Backspace") corners.pop();
  else return;
  event.preventDefault();
  draw();
});

// Opens the dialog for a source; the promise ends when it is closed.
export async function drawMask(name) {
  const path = `/sources/${encodeURIComponent(name)}`;
  let found;
  say("Fetching the picture.");
  try { found = await get(`${path}/picture`); } catch (error) { failed(error); return; }
  const bytes = Uint8Array.from(atob(found.picture), (letter) => letter.charCodeAt(0));
  const image = dialog.querySelector("img");
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  regions = [...found.ignore.map((own) => ({ name: "", corners: own })), ...Object.entries(found.zones).map(([zone, own]) => ({ name: zone, corners: own }))];
  corners = [];
  cross = null;
  find("#masking-title").textContent = `What is where at ${name}`;
  find("#masking-problem").textContent = "";
  list();
  dialog.showModal();
  svg.focus();
  await new Promise((ended) => {
    find("#masking-close").onclick = () => dialog.close();
    find("#masking-save").onclick = async () => {
      if (corners.length >= 3) close();
      const named = regions.filter((region) => region.name);
      if (new Set(named.map((region) => region.name)).size < named.length) {
        find("#masking-problem").textContent = "Two zones have one name; a zone is one region.";
        return;
      }
      const zones = Object.fromEntries(named.map((region) => [region.name, region.corners]));
      const ignore = regions.filter((region) => !region.name).map((region) => region.corners);
      try {
        const saved = await ask("PUT", `${path}/regions`, { json: { ignore, zones } });
        dialog.close();
        const counts = `${ignore.length} regions of ${name} do not count, ${named.length} are zones`;
        done(`${counts}${saved.in_force === "now" ? ", from now on" : `, ${saved.in_force}`}.`);
      } catch (error) { find("#masking-problem").textContent = error.message; }
    };
    dialog.addEventListener("close", ended, { once: true });
  });
  URL.revokeObjectURL(image.src);
}
