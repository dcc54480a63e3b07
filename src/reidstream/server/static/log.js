// Who decided, looked, searched, tried.

import { failed, find, get, make, may, moment } from "./page.js";

let before = {};

async function decided() {
  try {
    const page = await get("/operations", { limit: 50, before: before.decided });
    find("#decided").append(...page.operations.slice().reverse().map((one) => make("li", {},
      make("span", { class: "when" }, moment(one.wall)), make("span", {}, one.author), make("span", { class: one.undone_by ? "what undone" : "what" }, one.summary))));
    if (!find("#decided").children.length) find("#decided").append(make("li", {}, "Nobody has decided anything yet."));
    before.decided = page.next;
    find("#more-decided").hidden = page.next === null;
  } catch (error) { failed(error); }
}

async function looked() {
  if (!may("admin")) return;
  try {
    const page = await get("/log", { limit: 100, before: before.looked });
    find("#looked").append(...page.entries.map((one) => make("li", {},
      make("span", { class: "when" }, moment(one.wall)), make("span", {}, one.who, " ", make("span", { class: "facts" }, one.address)),
      make("span", { class: "what" }, one.action, " ", one.detail, one.person ? make("a", { href: `/people/${one.person}` }, ` ${one.person}`) : null))));
    before.looked = page.next;
    find("#more-looked").hidden = page.next === null;
  } catch (error) { failed(error); }
}

find("#more-decided").addEventListener("click", decided);
find("#more-looked").addEventListener("click", looked);
await decided();
await looked();
