// One person: journey, pictures with the odd ones first, look-alikes, history.

import { ask, called, decide, disclosed, done, failed, fillNames, find, get, keys, lasting, listen, make, may, moment, percent, picture, post, say, seenOf, visits, walk } from "./page.js";

const wanted = document.body.dataset.person;
const MOST_STEPS = 200;
const chosen = new Set();
let person = null;
let odd = new Map();
let alike = [];

const all = () => person.tracklets.map((tracklet) => tracklet.id);
const owned = () => Object.fromEntries(all().map((id) => [id, person.id]));

async function load() {
  try {
    person = await get(`/people/${encodeURIComponent(wanted)}`);
  } catch (error) {
    find("#gone").textContent = error.message;
    find("#gone").hidden = false;
    return;
  }
  find("#gone").hidden = true;
  for (let after = null; person.truncated;) {
    const page = await get(`/people/${person.id}/tracklets`, { limit: 500, after });
    if (after === null) person.tracklets = [];
    person.tracklets.push(...page.tracklets);
    after = page.next;
    if (after === null) break;
  }
  const looks = await get(`/people/${person.id}/odd`);
  odd = new Map(looks.tracklets.map(({ id, similarity }) => [id, similarity]));
  draw();
  alike = (await get(`/people/${person.id}/alike`)).alike;
  drawAlike();
  drawHistory((await get("/operations", { person: person.id, limit: 50 })).operations);
}

function draw() {
  document.title = `${called(person)} · ReIDStream`;
  find("#title").textContent = called(person);
  find("#facts").textContent = `number ${person.number}, ${visits(person.tracklets.length)}, ${lasting(person.seconds)} in view, ${person.cameras.join(", ")}; first ${moment(person.first_seen)}, last ${moment(person.last_seen)}`
    + (person.hidden_by_cameras ? "; more was seen by cameras that you may not see" : "") + (person.hidden ? "; hidden" : "");
  const label = find("#label");
  if (!label.contains(document.activeElement)) {
    label.elements.name.value = person.name;
    label.elements.notes.value = person.notes;
  }
  find("#actions").replaceChildren(...[
    may("reviewer") ? make("button", { type: "button", class: "quiet", onclick: hide }, person.hidden ? "Show again " : "Hide ", make("kbd", {}, "h")) : null,
    make("button", { type: "button", class: "quiet", onclick: download }, "Download what is known"),
    may("operator") ? make("button", { type: "button", class: "quiet", onclick: () => find("#handing").showModal() }, "Own pictures") : null,
    may("admin") ? make("button", { type: "button", class: "danger", onclick: erase }, "Erase") : null,
  ].filter(Boolean));
  drawJourney();
  drawCrops();
}

function drawJourney() {
  const seen = person.tracklets;
  const begin = person.first_seen, span = Math.max(person.last_seen - begin, 1);
  const left = 110, width = 900, row = 34, top = 10, height = top + row * person.cameras.length + 26;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${left + width + 20} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Visits over time: ${seen.map((v) => `${v.source} ${moment(v.start_wall)} for ${lasting(v.end_wall - v.start_wall)}`).slice(0, 40).join("; ")}`);
  const add = (name, values, text) => {
    const element = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    svg.append(element);
    return element;
  };
  const x = (time) => left + (width * (time - begin)) / span;
  const y = (camera) => top + row * (person.cameras.indexOf(camera) + 0.5);
  for (const camera of person.cameras) {
    add("line", { class: "row", x1: left, x2: left + width, y1: y(camera), y2: y(camera) });
    add("text", { x: 0, y: y(camera) + 4 }, camera.length > 15 ? `${camera.slice(0, 14)}…` : camera);
  }
  for (let n = 1; n < seen.length; n += 1) {
    const a = seen[n - 1], b = seen[n];
    if (a.source !== b.source) add("path", { class: "way", d: `M${x(a.end_wall)} ${y(a.source)}L${x(b.start_wall)} ${y(b.source)}` });
  }
  for (const v of seen) {
    const bar = add("rect", { class: "bar", x: x(v.start_wall), y: y(v.source) - 8, height: 16, rx: 3, width: Math.max(4, x(v.end_wall) - x(v.start_wall)) });
    const title = document.createElementNS(svg.namespaceURI, "title");
    title.textContent = `${v.source}, ${moment(v.start_wall)}, ${lasting(v.end_wall - v.start_wall)}`;
    bar.append(title);
    bar.addEventListener("click", () => showFrame(v));
  }
  add("text", { x: left, y: height - 6 }, moment(begin));
  add("text", { x: left + width, y: height - 6, "text-anchor": "end" }, moment(person.last_seen));
  find("#journey").replaceChildren(svg);
  drawVisits();
}

// Every visit in the order of time, and how long nobody saw them in between.
function drawVisits() {
  const seen = [...person.tracklets].sort((a, b) => a.start_wall - b.start_wall);
  find("#visits").replaceChildren(...seen.slice(0, MOST_STEPS).map((v, n) => make("li", {},
    n ? make("span", { class: "facts" }, v.start_wall > seen[n - 1].end_wall ? `${lasting(v.start_wall - seen[n - 1].end_wall)} later` : "at the same time") : null,
    make("button", { type: "button", class: "quiet", data: { id: v.id }, onclick: () => showFrame(v) },
      make("strong", {}, v.source), ` ${moment(v.start_wall)}, ${lasting(v.end_wall - v.start_wall)}`))),
  seen.length > MOST_STEPS ? make("li", { class: "facts" }, `and ${(seen.length - MOST_STEPS).toLocaleString()} more`) : "");
}

let wantedFrame = null;

async function showFrame(visit) {
  wantedFrame = visit.id;
  for (const button of find("#visits").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.id === visit.id));
  const text = `${visit.source}, ${moment(visit.start_wall)}`;
  find("#frame").hidden = false;
  find("#frame-text").textContent = `${text}: looking for the frame…`;
  try {
    const found = await get(`/tracklets/${visit.id}/frame`);
    // Somebody may have asked for another one meanwhile.
    if (wantedFrame !== visit.id) return;
    const image = find("#frame-picture");
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = found.picture === null;
    if (found.picture !== null) {
      const bytes = Uint8Array.from(atob(found.picture), (letter) => letter.charCodeAt(0));
      image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
      image.alt = `The frame of ${text}, with a box`;
    }
    const clip = find("#clip");
    clip.hidden = !found.clip;
    clip.setAttribute("aria-label", `The clip of ${text}`);
    if (found.clip) clip.src = `/api/v1/tracklets/${visit.id}/clip`; else clip.removeAttribute("src");
    find("#frame-text").textContent = found.picture === null && !found.clip ? `${text}: no frame, ${found.why}.` : text;
  } catch (error) { failed(error); }
}

function drawCrops() {
  const order = find("#crops-order").value;
  const list = [...person.tracklets];
  if (order === "odd") list.sort((a, b) => (odd.get(a.id) ?? 1) - (odd.get(b.id) ?? 1));
  find("#crops-count").textContent = list.length;
  for (const id of [...chosen]) if (!list.some((t) => t.id === id)) chosen.delete(id);
  find("#crops").replaceChildren(...list.map((t) => {
    const box = make("input", { type: "checkbox", tabIndex: -1, checked: chosen.has(t.id), "aria-label": `Select the picture of ${t.source}, ${moment(t.start_wall)}` });
    const text = `${t.source}, ${moment(t.start_wall)}`;
    const pick = make("button", { type: "button", class: "pick", "aria-pressed": String(chosen.has(t.id)), disabled: !may("reviewer"), onclick: () => choose(t.id) },
      picture(t.id, 256, ""),
      make("span", { class: "text" }, make("strong", {}, t.source), moment(t.start_wall), make("br"), lasting(t.end_wall - t.start_wall),
        make("br"), make("span", { class: t.probability < 0.9 ? "doubt" : "" }, `sure ${percent(t.probability)}`)));
    pick.setAttribute("aria-label", `${text}, sure ${percent(t.probability)}`);
    box.addEventListener("change", () => choose(t.id));
    const likeness = odd.get(t.id);
    return make("li", { class: chosen.has(t.id) ? "card chosen" : "card", data: { id: t.id } }, pick,
      may("reviewer") ? make("span", { class: "mark" }, box) : null,
      person.tracklets.length > 1 && likeness !== undefined ? make("span", { class: "tag", title: "how much it looks like the others" }, likeness.toFixed(2)) : null);
  }));
  chosenChanged();
}

function choose(id) {
  if (chosen.has(id)) chosen.delete(id); else chosen.add(id);
  for (const item of find("#crops").children) {
    const is = chosen.has(item.dataset.id);
    item.classList.toggle("chosen", is);
    item.querySelector(".pick").setAttribute("aria-pressed", String(is));
    const box = item.querySelector("input");
    if (box) box.checked = is;
  }
  chosenChanged();
  say(`${chosen.size} selected`);
}

function chosenChanged() {
  find("#selection").hidden = chosen.size === 0;
  find("#chosen").textContent = `${chosen.size} of ${person.tracklets.length} selected`;
  find("#split").disabled = chosen.size === person.tracklets.length;
}

function drawAlike() {
  const list = find("#alike");
  if (!alike.length) { list.replaceChildren(make("li", { class: "empty" }, "Nobody else is known.")); return; }
  list.replaceChildren(...alike.map((other) => make("li", { class: "card", data: { id: other.id } },
    make("a", { href: `/people/${other.id}` }, picture(other.best, 256, ""),
      make("span", { class: "text" }, make("strong", {}, called(other)), `${visits(other.tracklets.length)}, ${other.cameras.join(", ")}`)),
    make("span", { class: "tag" }, `${percent(other.same)} same`),
    may("reviewer") ? make("span", { class: "buttons" },
      make("button", { type: "button", onclick: () => join(other) }, "Same ", make("kbd", {}, "m")),
      make("button", { type: "button", class: "quiet", onclick: () => apart(other) }, "Not ", make("kbd", {}, "r"))) : null)));
}

function drawHistory(operations) {
  find("#history").replaceChildren(...(operations.length ? operations.slice().reverse().map((one) => make("li", {},
    make("span", { class: "when" }, moment(one.wall)), make("span", {}, one.author),
    make("span", { class: one.undone_by ? "what undone" : "what" }, one.summary),
    may("reviewer") && one.undone_by === null && one.undoes === null
      ? make("button", { type: "button", class: "quiet", onclick: () => act({ kind: "undo", operation: one.id }) }, "Undo") : null))
    : [make("li", {}, "Nothing yet.")]));
}

async function act(decision) {
  try { await decide(decision, load); } catch (error) { failed(error); await load(); }
}

async function join(other) {
  await act({ kind: "merge", people: [person.id, other.id], seen: { ...owned(), ...seenOf(other) } });
}

async function apart(other) {
  await act({ kind: "apart", people: [person.id, other.id], seen: { ...owned(), ...seenOf(other) } });
}

async function split() {
  if (!chosen.size || chosen.size === person.tracklets.length) return;
  const some = [...chosen];
  chosen.clear();
  await act({ kind: "split", person: person.id, tracklets: some, seen: owned() });
}

async function confirm() {
  const some = [...(chosen.size ? chosen : all())];
  chosen.clear();
  await act({ kind: "confirm", person: person.id, tracklets: some, seen: owned() });
}

async function hide() {
  const was = person.hidden;
  try {
    await ask(was ? "DELETE" : "PUT", `/people/${person.id}/hidden`);
    done(was ? "Shown again." : "Hidden from all lists.", async () => { await ask(was ? "PUT" : "DELETE", `/people/${person.id}/hidden`); await load(); });
    await load();
  } catch (error) { failed(error); }
}

function download() {
  const file = new Blob([JSON.stringify(person, null, 1)], { type: "application/json" });
  const link = make("a", { href: URL.createObjectURL(file), download: `person-${person.number}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Pictures of this person alone, for handing them to the person.
find("#handing").addEventListener("close", async (event) => {
  if (event.target.returnValue !== "yes") return;
  const { scene, clips } = event.target.querySelector("form").elements;
  const link = find("#handed");
  link.hidden = true;
  find("#handed-text").textContent = "The pictures are being made …";
  find("#handed-line").hidden = false;
  try {
    const job = await ended(await post(`/people/${person.id}/disclosures`, { shown: scene.checked ? "scene" : "person", clips: clips.checked }));
    find("#handed-text").textContent = disclosed(job.result);
    link.href = `/api/v1/exports/${job.id}/file`;
    link.hidden = false;
    say(find("#handed-text").textContent);
  } catch (error) {
    find("#handed-text").textContent = error.message;
    say(error.message);
  }
});

async function ended(job) {
  while (job.state === "waiting" || job.state === "running") {
    await new Promise((ready) => setTimeout(ready, 400));
    job = await get(`/jobs/${job.id}`);
  }
  if (job.state !== "done") throw new Error(job.error || job.state);
  return job;
}

function erase() {
  const dialog = find("#erasing");
  dialog.showModal();
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    try {
      const job = await post("/erasures", { people: [person.id] });
      done("Erasing …");
      const proof = (await ended(job)).result;
      find("#gone").textContent = `${proof.tracklets} tracklets were erased; ${proof.proven ? `proven: ${proof.pieces} pieces were looked for in ${proof.after.files} files, and none is left` : `not proven: ${proof.reach}`}.`;
      find("#gone").hidden = false;
      say(find("#gone").textContent);
      for (const section of document.querySelectorAll("main section, #label, #actions, #facts")) section.hidden = true;
      find("#toast").hidden = true;
    } catch (error) { failed(error); }
  };
}

const focusedAlike = () => alike.find((one) => one.id === document.activeElement?.closest?.("#alike li")?.dataset.id) || alike[0];
const focusedCrop = () => document.activeElement?.closest?.("#crops li")?.dataset.id;

find("#label").addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, notes } = event.target.elements;
  act({ kind: "label", person: person.id, name: name.value.trim(), notes: notes.value.trim(), seen_name: person.name });
  document.activeElement.blur();
});
find("#crops-order").addEventListener("change", drawCrops);
find("#split").addEventListener("click", split);
find("#confirm").addEventListener("click", confirm);
find("#none").addEventListener("click", () => { chosen.clear(); drawCrops(); });
find("#back").addEventListener("click", (event) => { if (document.referrer.startsWith(location.origin) && history.length > 1) { event.preventDefault(); history.back(); } });
walk(find("#crops"), ".pick");
walk(find("#alike"), "li > a");

keys([
  ["a", "to the people who look alike", () => find("#alike a")?.focus()],
  ["p", "to the pictures", () => find("#crops .pick")?.focus()],
  ...(may("reviewer") ? [
    ["n", "give a name", () => find("#label").elements.name.focus()],
    ["m", "the look-alike (the first, or the one in focus) is the same person", () => { const one = focusedAlike(); if (one) join(one); }],
    ["r", "the look-alike is somebody else", () => { const one = focusedAlike(); if (one) apart(one); }],
    ["x", "select the picture, or not", () => { const id = focusedCrop(); if (id) choose(id); }],
    ["s", "the selected pictures are somebody else", split],
    ["c", "the selected pictures are this person (all, if none is selected)", confirm],
    ["h", "hide from all lists, or show again", hide],
    ["Escape", "select none", () => { chosen.clear(); drawCrops(); }],
  ] : []),
]);

fillNames(find("#names"));
await load();
listen(() => { if (!chosen.size && !find("dialog[open]") && find("#gone").hidden) load(); }, 3000);
