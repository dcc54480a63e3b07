// Whom alerts are raised about: lists and rules, each with what it is for.

import { ask, done, failed, fillCameras, fillNames, find, get, lasting, make, moment, percent, post, Problem } from "./page.js";

const addRule = find("#add-rule");
const addList = find("#add-list");
const addEntry = find("#add-entry");
let target = null;

function ruleInWords(rule) {
  const words = [{ listed: `somebody on ${rule.list}`, unknown: rule.list ? `somebody who is not on ${rule.list}` : "somebody without a name", anybody: "anybody" }[rule.who]];
  if (rule.zone) words.push(`in ${rule.zone}`);
  if (rule.dwell) words.push(`for ${lasting(rule.dwell)}`);
  words.push(rule.cameras.length ? `at ${rule.cameras.join(", ")}` : "at every camera");
  if (rule.hours) words.push(`${rule.hours} (${rule.timezone})`);
  if (rule.days.length) words.push(rule.days.join(", "));
  if (rule.who !== "anybody") words.push(`accepted risk ${percent(rule.risk)}`);
  return words.join("; ");
}

const button = (text, action) => make("button", { type: "button", class: "quiet", onclick: () => action().catch(failed) }, text);

function ruleLine(rule) {
  return make("li", {},
    make("span", { class: "what" }, make("strong", {}, rule.name), " ", make("span", { class: rule.active ? "good" : "doubt" }, rule.active ? "holds" : "does not hold"),
      make("div", { class: "facts" }, ruleInWords(rule)), make("div", { class: "facts" }, `for: ${rule.purpose}`)),
    button(rule.active ? "Switch off" : "Switch on", async () => { await ask("PATCH", `/watch/rules/${rule.id}`, { json: { active: !rule.active } }); await loadWatch(); }),
    button("Delete", async () => { await ask("DELETE", `/watch/rules/${rule.id}`); done(`The rule ${rule.name} is deleted.`); await loadWatch(); }));
}

function entryItem(list, entry) {
  const picture = entry.kind === "photo" ? `/api/v1/watch/entries/${entry.id}/photo` : `/api/v1/tracklets/${entry.tracklet}/crop?w=128`;
  const image = make("img", { src: picture, alt: entry.title, loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "blank" }, "no picture")));
  const name = entry.person ? make("a", { href: `/people/${entry.person}` }, entry.title) : entry.title;
  return make("li", {}, image, make("span", {}, name, entry.until ? make("span", { class: "facts" }, ` until ${moment(entry.until)}`) : null,
    entry.usable ? null : make("span", { class: "doubt" }, " not usable any more; add it again")),
  button("Take off", async () => { await ask("DELETE", `/watch/lists/${list.id}/entries/${entry.id}`); await loadWatch(); }));
}

function listLine(list) {
  const over = list.until * 1000 < Date.now();
  return make("li", {},
    make("span", { class: "what" }, make("strong", {}, list.name), " ", make("span", { class: over ? "doubt" : "facts" }, over ? "has ended" : `until ${moment(list.until)}`),
      make("div", { class: "facts" }, `for: ${list.purpose}`),
      make("ul", { class: "entries" }, ...list.entries.map((entry) => entryItem(list, entry)))),
    over ? null : button("Add somebody", async () => {
      target = list;
      addEntry.reset();
      find("#entry-problem").textContent = "";
      find("#adding-title").textContent = `Put somebody on ${list.name}`;
      await fillNames(find("#names"));
      find("#adding").showModal();
    }),
    button("Delete", async () => { await ask("DELETE", `/watch/lists/${list.id}`); done(`The list ${list.name} and everybody on it are deleted.`); await loadWatch(); }));
}

export async function loadWatch() {
  const [{ rules }, { lists }] = await Promise.all([get("/watch/rules"), get("/watch/lists")]);
  find("#rules").replaceChildren(...rules.map(ruleLine));
  find("#lists").replaceChildren(...lists.map(listLine));
  const chosen = addRule.elements.list.value;
  addRule.elements.list.replaceChildren(make("option", { value: "" }, "none"), ...lists.filter((one) => one.until * 1000 > Date.now()).map((one) => make("option", { value: one.id }, one.name)));
  addRule.elements.list.value = chosen;
}

function form(element, problem, work) {
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    find(problem).textContent = "";
    try {
      await work(element.elements);
      await loadWatch();
    } catch (error) { find(problem).textContent = error.message; }
  });
}

form(addRule, "#rule-problem", async (fields) => {
  const values = {
    name: fields.name.value.trim(),
    purpose: fields.purpose.value.trim(),
    who: fields.who.value,
    list: fields.list.value || null,
    cameras: fields.camera.value ? [fields.camera.value] : [],
    zone: fields.zone.value.trim() || null,
    dwell: Number(fields.dwell.value),
    hours: fields.hours.value.trim() || null,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    cooldown: Number(fields.cooldown.value),
    risk: Number(fields.risk.value) / 100,
  };
  const made = await post("/watch/rules", values);
  addRule.reset();
  done(`The rule ${made.name} holds.`);
});

form(addList, "#list-problem", async (fields) => {
  const until = new Date(`${fields.until.value}T23:59:59`).getTime() / 1000;
  const made = await post("/watch/lists", { name: fields.name.value.trim(), purpose: fields.purpose.value.trim(), until });
  addList.reset();
  done(`The list ${made.name} is made; put somebody on it, and add a rule.`);
});

form(addEntry, "#entry-problem", async (fields) => {
  const photo = fields.photo.files[0];
  const person = fields.person.value.trim();
  if (Boolean(photo) === Boolean(person)) throw new Problem(0, { detail: "Name a person or choose a photo, one of the two." });
  if (person) await post(`/watch/lists/${target.id}/people`, { person });
  else await ask("POST", `/watch/lists/${target.id}/photos`, { body: photo, type: photo.type || "application/octet-stream", params: { days: fields.days.value } });
  find("#adding").close();
  done(`${person || "The photo"} is on ${target.name}.`);
});

find("#adding-close").addEventListener("click", () => find("#adding").close());
fillCameras(addRule.elements.camera).catch(failed);
