// Everybody: filters, selecting, merging many, hiding.

import { ask, called, decide, done, failed, fillCameras, fillNames, find, get, keys, lasting, listen, make, may, moment, percent, picture, Problem, say, seenOf, visits, walk } from "./page.js";

const grid = find("#grid");
const filters = find("#filters");
const chosen = new Map();
let people = [];
let next = null;
let asked = 0;
const PAGE = 60;
const PLACE = "people: place";

const seconds = (text) => (text ? new Date(text).getTime() / 1000 : null);

function wanted() {
  const values = Object.fromEntries(new FormData(filters));
  return { ...values, since: seconds(values.since), until: seconds(values.until) };
}

function card(person) {
  const box = make("input", { type: "checkbox", checked: chosen.has(person.id), "aria-label": `Select ${called(person)}`, tabIndex: -1, onchange: () => choose(person, box.checked) });
  const doubt = Math.min(...person.probability);
  return make("li", { class: chosen.has(person.id) ? "card chosen" : "card", data: { id: person.id } },
    make("a", { href: `/people/${person.id}`, tabIndex: -1, onclick: keepPlace },
      picture(person.best, 256, ""),
      make("span", { class: "text" },
        make("strong", {}, called(person)),
        `${visits(person.tracklets.length)}, ${lasting(person.seconds)}`, make("br"),
        person.cameras.join(", "), make("br"),
        moment(person.last_seen),
        doubt < 0.9 ? make("span", { class: "doubt" }, make("br"), `least sure ${percent(doubt)}`) : null)),
    may("reviewer") ? make("span", { class: "mark" }, box) : null);
}

function choose(person, on) {
  if (on) chosen.set(person.id, person); else chosen.delete(person.id);
  for (const item of grid.children) {
    const is = chosen.has(item.dataset.id);
    item.classList.toggle("chosen", is);
    const box = item.querySelector("input");
    if (box) box.checked = is;
  }
  find("#selection").hidden = chosen.size === 0;
  find("#chosen").textContent = `${chosen.size} selected`;
  find("#merge").disabled = chosen.size < 2;
  find("#hide").lastChild.previousSibling.textContent = wanted().shown === "false" ? "Show again " : "Hide ";
  say(`${chosen.size} selected`);
}

async function load(count = PAGE, again = false) {
  const mine = ++asked;
  try {
    let after = again ? null : next;
    let found = [];
    let page;
    do {
      page = await get("/people", { ...wanted(), limit: Math.min(500, count - found.length), after });
      found = found.concat(page.people);
      after = page.next;
    } while (found.length < count && after);
    if (mine !== asked) return;
    people = again ? found : people.concat(found);
    next = after;
    if (again) {
      const focused = document.activeElement?.closest?.("#grid li")?.dataset.id;
      grid.replaceChildren(...people.map(card));
      if (focused) grid.querySelector(`li[data-id="${focused}"] a`)?.focus({ preventScroll: true });
    } else {
      grid.append(...found.map(card));
    }
    find("#count").textContent = page.total.toLocaleString();
    find("#empty").hidden = people.length > 0;
    find("#more").hidden = next === null;
  } catch (error) {
    if (mine === asked) failed(error);
  }
}

const refresh = () => load(Math.max(PAGE, people.length), true);

function keepPlace() {
  sessionStorage.setItem(PLACE, JSON.stringify({ filters: Object.fromEntries(new FormData(filters)), count: people.length, top: scrollY }));
}

async function hide() {
  const hidden = wanted().shown === "false";
  const some = [...chosen.values()];
  try {
    for (const person of some) await ask(hidden ? "DELETE" : "PUT", `/people/${person.id}/hidden`);
    const back = async () => {
      for (const person of some) await ask(hidden ? "PUT" : "DELETE", `/people/${person.id}/hidden`);
      await refresh();
    };
    chosen.clear();
    await refresh();
    choose({}, false);
    done(`${some.length} ${hidden ? "shown again" : "hidden"}.`, back);
  } catch (error) { failed(error); }
}

function merge() {
  if (chosen.size < 2) return;
  const dialog = find("#merging");
  let keep = [...chosen.keys()].find((id) => chosen.get(id).name) || [...chosen.keys()][0];
  const list = dialog.querySelector("ul");
  const draw = () => list.replaceChildren(...[...chosen.values()].map((person) =>
    make("li", { class: person.id === keep ? "card chosen" : "card" },
      make("button", { type: "button", class: "pick", "aria-pressed": String(person.id === keep), onclick: () => { keep = person.id; draw(); } },
        picture(person.best, 128, ""), make("span", { class: "text" }, make("strong", {}, called(person)), person.id === keep ? "stays" : "is merged into it")))));
  draw();
  dialog.querySelector(".error").textContent = "";
  dialog.showModal();
  find("#merge-yes").focus();
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    const some = [...chosen.values()];
    const order = [keep, ...some.map((person) => person.id).filter((id) => id !== keep)];
    try {
      chosen.clear();
      await decide({ kind: "merge", people: order, seen: seenOf(...some) }, refresh);
    } catch (error) {
      failed(error instanceof Problem && error.status === 409 ? `Nothing was changed: ${error.message}` : error);
      await refresh();
    }
    choose({}, false);
  };
}

function clear() { chosen.clear(); choose({}, false); }
const focused = () => people.find((person) => person.id === document.activeElement?.closest?.("#grid li")?.dataset.id);

let typed = null;
filters.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => load(PAGE, true), 200); });
filters.addEventListener("submit", (event) => { event.preventDefault(); load(PAGE, true); });
find("#more").addEventListener("click", () => load());
find("#merge").addEventListener("click", merge);
find("#hide").addEventListener("click", hide);
find("#none").addEventListener("click", clear);
walk(grid, "li > a");
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && !find("#more").hidden) load(); }, { rootMargin: "600px" }).observe(find("#more"));

keys([
  ["/", "to the search field", () => filters.elements.words.focus()],
  ["Enter", "open the person", () => { const one = focused(); if (one) { keepPlace(); location.assign(`/people/${one.id}`); } }],
  ...(may("reviewer") ? [
    ["x", "select the person, or not", () => { const one = focused(); if (one) choose(one, !chosen.has(one.id)); }],
    ["m", "merge the selected people", merge],
    ["h", "hide the selected people", () => { if (chosen.size) hide(); }],
    ["Escape", "select none", clear],
  ] : []),
]);

await fillCameras(filters.elements.camera);
fillNames(find("#names"));
const kept = JSON.parse(sessionStorage.getItem(PLACE) || "null");
sessionStorage.removeItem(PLACE);
if (kept && Object.entries(kept.filters).some(([key, value]) => value && !["words", "camera", "order", "shown"].includes(key))) filters.querySelector("details").open = true;
if (kept) for (const [key, value] of Object.entries(kept.filters)) if (filters.elements[key]) filters.elements[key].value = value;
await load(kept ? Math.max(PAGE, kept.count) : PAGE, true);
if (kept) scrollTo(0, kept.top);
listen(refresh, 2000);
