// What was raised, why, and who has seen to it.

import { called, done, failed, fillCameras, find, get, keys, lasting, listen, make, may, moment, percent, post } from "./page.js";
import { loadWatch } from "./watch.js";

const grid = find("#alerts");
const filters = find("#filters");
let next = null;

// Why an alert was raised, in a sentence.
function because({ why, probability, person, entry }) {
  const words = [];
  if (why.who === "listed") words.push(person ? `${called(person)} is on the list, ${percent(probability)} sure` : `looks like ${entry ? "a photo" : "somebody"} on the list, ${percent(probability)} sure`);
  else if (why.who === "unknown") words.push(`nobody known, ${percent(probability)} sure`);
  else words.push("somebody");
  if (why.zone) words.push(`${lasting(why.seconds)} in ${why.zone}`);
  else if (why.seconds) words.push(`in view for ${lasting(why.seconds)}`);
  if (why.who !== "anybody") words.push(`accepted risk ${percent(why.risk)}`);
  const sentence = words.join("; ");
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
}

function howItStands(alert) {
  if (alert.state === "withdrawn") return `Withdrawn: ${alert.reason}.`;
  if (alert.state === "confirmed") return "Confirmed when the visit was over.";
  return "In view, or not decided yet.";
}

// Where in the picture: an outline over it, which keeps to the picture's own shape.
function outlined(image, box) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("aria-hidden", "true");
  image.addEventListener("load", () => {
    const { naturalWidth: wide, naturalHeight: high } = image;
    const [x1, y1, x2, y2] = box;
    drawing.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    for (const kind of ["under", "over"]) {
      const outline = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const place = { x: x1 * wide, y: y1 * high, width: (x2 - x1) * wide, height: (y2 - y1) * high, class: kind };
      for (const [name, value] of Object.entries(place)) outline.setAttribute(name, value);
      drawing.append(outline);
    }
  }, { once: true });
  return make("div", { class: "outlined" }, image, drawing);
}

function card(alert) {
  const title = alert.rule.name;
  const shown = alert.frame || alert.crop
    ? make("img", { alt: `${title}: ${alert.source}, ${moment(alert.wall)}`, loading: "lazy", decoding: "async", src: `/api/v1/alerts/${alert.id}/frame` })
    : make("span", { class: "blank" }, "no picture");
  const known = alert.person ? make("a", { href: `/people/${alert.person.id}` }, called(alert.person)) : null;
  const acknowledged = alert.acknowledged
    ? make("p", { class: "facts" }, `seen to by ${alert.acknowledged_by}, ${moment(alert.acknowledged)}`)
    : may("reviewer") ? make("button", { type: "button", onclick: () => acknowledge(alert) }, "I have seen to it") : null;
  const element = make("li", { class: `alert ${alert.state}`, tabIndex: -1, data: { id: alert.id } },
    make("div", { class: "moment" }, alert.frame && alert.why.box ? outlined(shown, alert.why.box) : shown),
    make("div", { class: "text" },
      make("strong", {}, title), " ", known,
      make("p", { class: "facts" }, `${alert.source}, ${moment(alert.wall)}`),
      make("p", {}, because(alert)),
      alert.clip ? make("button", { type: "button", class: "quiet", onclick: (event) => play(event.currentTarget, alert) }, "Play the clip") : null,
      make("p", { class: alert.state === "withdrawn" ? "doubt" : "facts" }, howItStands(alert)),
      acknowledged));
  element.alert = alert;
  return element;
}

// In the place of the picture; whoever asks for a clip is noted.
function play(button, alert) {
  const film = make("video", { controls: true, muted: true, playsInline: true, autoplay: true, src: `/api/v1/alerts/${alert.id}/clip`, "aria-label": `The clip of ${alert.rule.name}, ${alert.source}, ${moment(alert.wall)}` });
  film.addEventListener("error", () => { film.replaceWith(make("span", { class: "blank" }, "the clip cannot be played")); });
  button.closest(".alert").querySelector(".moment").replaceChildren(film);
  button.remove();
}

const wanted = () => ({ state: filters.elements.state.value, camera: filters.elements.camera.value });

async function load() {
  try {
    const { alerts, next: following } = await get("/alerts", { ...wanted(), limit: 50 });
    const at = document.activeElement?.closest?.(".alert")?.dataset.id;
    // A clip that somebody looks at goes on.
    const played = [...grid.querySelectorAll(".moment video")].map((film) => [film.closest(".alert").dataset.id, film.parentElement]);
    grid.replaceChildren(...alerts.map(card));
    for (const [id, part] of played) grid.querySelector(`[data-id="${CSS.escape(id)}"] .moment`)?.replaceWith(part);
    if (at) grid.querySelector(`[data-id="${CSS.escape(at)}"]`)?.focus();
    counted(following, alerts.length);
  } catch (error) { failed(error); }
}

function counted(following, count) {
  next = following;
  find("#more").hidden = next === null;
  find("#count").textContent = count ? (next === null ? count : `${count} and more`) : "";
  find("#empty").hidden = count > 0;
  find("#empty").textContent = filters.elements.state.value === "open" ? "Nothing needs to be seen to." : "There are no such alerts.";
}

async function older() {
  try {
    const { alerts, next: following } = await get("/alerts", { ...wanted(), limit: 50, before: next });
    grid.append(...alerts.map(card));
    counted(following, grid.children.length);
  } catch (error) { failed(error); }
}

async function acknowledge(alert) {
  try {
    await post(`/alerts/${alert.id}/acknowledge`, {});
    done(`${alert.rule.name}: seen to.`);
    await load();
  } catch (error) { failed(error); }
}

function step(by) {
  const cards = [...grid.querySelectorAll(".alert")];
  const at = cards.indexOf(document.activeElement?.closest?.(".alert"));
  const target = cards[Math.min(cards.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  target?.focus();
  target?.scrollIntoView({ block: "nearest" });
}

filters.addEventListener("change", load);
filters.addEventListener("submit", (event) => event.preventDefault());
find("#more").addEventListener("click", older);
keys([
  ["j", "the next alert", () => step(1)],
  ["k", "the alert before", () => step(-1)],
  ["a", "I have seen to it", () => {
    const chosen = document.activeElement?.closest?.(".alert")?.alert;
    if (chosen && !chosen.acknowledged && may("reviewer")) {
      step(1);
      acknowledge(chosen);
    }
  }],
]);
await fillCameras(filters.elements.camera).catch(failed);
await load();
if (may("operator")) await loadWatch();
listen(load);
