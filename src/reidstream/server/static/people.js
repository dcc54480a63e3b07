// Everybody: filters, selecting, merging many, hiding.

import { ask, called, decide, done, failed, fillCameras, fillNames, find, get, keys, lasting, listen, make, may, moment, percent, picture, Problem, say, seenOf, visits, walk } from "./page.js";

const grid = find("#grid");
const filters = find("#filters");
const chosen = new Map();
// Everybody who is shown, by id, with the card. ``pages``: how they came, each with the places after which it
// and the following one begin, null at the ends; ``next``: the last of these. Only the pages in view follow what happens.
const people = new Map();
const cards = new Map();
let pages = [];
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

function mark(id) {
  const item = cards.get(id);
  if (!item) return;
  item.classList.toggle("chosen", chosen.has(id));
  const box = item.querySelector("input");
  if (box) box.checked = chosen.has(id);
}

function choose(person, on) {
  if (on) chosen.set(person.id, person); else chosen.delete(person.id);
  mark(person.id);
  counted();
}

function counted() {
  find("#selection").hidden = chosen.size === 0;
  find("#chosen").textContent = `${chosen.size} selected`;
  find("#merge").disabled = chosen.size < 2;
  find("#hide").lastChild.previousSibling.textContent = wanted().shown === "false" ? "Show again " : "Hide ";
  say(`${chosen.size} selected`);
}

// Only the cards near what is in view are in the page: with tens of thousands of them every change would take seconds.
// All rows are as high as one another, so that those that are left out are room above and below.
const AROUND = 2;

const pixels = (text) => Number.parseFloat(text) || 0;

function measures() {
  const style = getComputedStyle(grid);
  const one = grid.querySelector(".card");
  return {
    columns: style.gridTemplateColumns.split(" ").length,
    row: one ? one.getBoundingClientRect().height + pixels(style.rowGap) : 300,
    top: -grid.getBoundingClientRect().top,
    one,
  };
}

function arrange() {
  const ids = pages.flatMap((page) => page.ids);
  const { columns, row, top, one } = measures();
  const far = AROUND * innerHeight;
  const from = Math.max(0, Math.min(Math.floor((top - far) / row), Math.ceil(ids.length / columns) - 1)) * columns;
  const to = Math.max(from, Math.min(ids.length, Math.ceil((top + innerHeight + far) / row) * columns, ids.length));
  const near = new Set(ids.slice(from, Math.max(to, from + columns)));
  for (const [id, made] of cards) if (!near.has(id)) { made.remove(); cards.delete(id); }
  let at = grid.firstChild;
  for (const id of near) {
    let made = cards.get(id);
    if (!made) cards.set(id, made = card(people.get(id)));
    if (made === at) at = at.nextSibling; else grid.insertBefore(made, at);
  }
  // How high a row is shows with the first cards.
  if (one === null && ids.length) { arrange(); return; }
  grid.style.paddingTop = `${from / columns * row}px`;
  grid.style.paddingBottom = `${Math.ceil((ids.length - from - near.size) / columns) * row}px`;
}

function put(person) {
  people.set(person.id, person);
  const former = cards.get(person.id);
  if (!former) return;
  const is = former.contains(document.activeElement);
  const made = card(person);
  former.replaceWith(made);
  cards.set(person.id, made);
  if (is) made.querySelector("a").focus({ preventScroll: true });
}

function shown(total) {
  if (total !== undefined) find("#count").textContent = total.toLocaleString();
  find("#empty").hidden = people.size > 0;
  find("#more").hidden = next === null;
}

// The first people, or those that follow; count: at least so many. What follows is not asked for while something is
// under way: it would follow what is being replaced.
let loading = 0;
async function load(count = PAGE, again = false) {
  if (!again && loading) return;
  const mine = ++asked;
  loading += 1;
  try {
    let after = again ? null : next;
    let page;
    let fresh = again;
    let got = 0;
    do {
      page = await get("/people", { ...wanted(), limit: count > PAGE ? 500 : PAGE, after });
      if (mine !== asked) return;
      if (fresh) { pages = []; people.clear(); cards.clear(); grid.replaceChildren(); fresh = false; }
      // Somebody who came in meanwhile may push the last ones to the following page: they stay where they were.
      const some = page.people.filter((person) => !people.has(person.id));
      pages.push({ after, upto: page.next, ids: some.map((person) => person.id), stale: false });
      for (const person of some) put(person);
      got += page.people.length;
      after = page.next;
    } while (got < count && after);
    next = after;
    arrange();
    shown(page.total);
  } catch (error) {
    if (mine === asked) failed(error);
  } finally { loading -= 1; }
  // On a large screen the end may be in view still, of which nobody would be told again.
  end.unobserve(find("#more"));
  end.observe(find("#more"));
}

// Ask for a page again: who has come, gone or changed between where it begins and where the next one does.
async function renew(page) {
  const mine = asked;
  page.stale = false;
  const found = [];
  let after = page.after;
  let part;
  do {
    part = await get("/people", { ...wanted(), limit: 500, after, upto: page.upto });
    if (mine !== asked) return;
    found.push(...part.people);
    after = part.next;
    // Where nothing follows, what is new beyond the last one comes by scrolling.
  } while (after && (page.upto !== null || found.length < page.ids.length));
  const held = new Set(found.map((person) => person.id));
  for (const id of page.ids) if (!held.has(id)) people.delete(id);
  for (const one of pages) if (one !== page) one.ids = one.ids.filter((id) => !held.has(id));
  page.ids = [...held];
  for (const person of found) put(person);
  arrange();
  if (page.upto === null) {
    next = after;
    page.upto = after;
  }
  shown(part.total);
}

// The pages of which cards are in view.
function inView() {
  const { columns, row, top } = measures();
  const from = Math.floor(top / row) * columns;
  const to = Math.ceil((top + innerHeight) / row) * columns;
  let begin = 0;
  return pages.filter((page) => {
    const end = begin + page.ids.length;
    const is = begin < to && end > from;
    begin = end;
    return is;
  });
}

let renewing = Promise.resolve();
// One after the other, so that nobody is in two pages.
function renewStale() {
  renewing = renewing.then(async () => {
    for (const page of inView()) if (page.stale && pages.includes(page)) await renew(page);
  }).catch(failed);
  return renewing;
}

async function refresh() {
  if (!people.size) return load(PAGE, true);
  for (const page of pages) page.stale = true;
  return renewStale();
}

let scrolled = null;
let arranging = 0;
function moved() {
  if (!arranging) arranging = requestAnimationFrame(() => { arranging = 0; arrange(); });
  clearTimeout(scrolled);
  scrolled = setTimeout(renewStale, 150);
}
addEventListener("scroll", moved, { passive: true });
addEventListener("resize", moved, { passive: true });

function keepPlace() {
  sessionStorage.setItem(PLACE, JSON.stringify({ filters: Object.fromEntries(new FormData(filters)), count: people.size, top: scrollY }));
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
    clear();
    await refresh();
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
      clear();
      await decide({ kind: "merge", people: order, seen: seenOf(...some) }, refresh);
    } catch (error) {
      failed(error instanceof Problem && error.status === 409 ? `Nothing was changed: ${error.message}` : error);
      await refresh();
    }
  };
}

function clear() {
  const some = [...chosen.keys()];
  chosen.clear();
  some.forEach(mark);
  counted();
}

const focused = () => people.get(document.activeElement?.closest?.("#grid li")?.dataset.id);

let typed = null;
filters.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => load(PAGE, true), 200); });
filters.addEventListener("submit", (event) => { event.preventDefault(); load(PAGE, true); });
find("#more").addEventListener("click", () => load());
find("#merge").addEventListener("click", merge);
find("#hide").addEventListener("click", hide);
find("#none").addEventListener("click", clear);
walk(grid, "li > a");
const end = new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting && !find("#more").hidden) load(); }, { rootMargin: "600px" });
end.observe(find("#more"));

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
