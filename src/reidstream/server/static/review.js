// Questions, the weightiest first; one key each.

import { ask, called, decide, failed, find, get, keys, listen, make, moment, percent, picture, post, say, visits } from "./page.js";

let questions = [];
let left = 0;
let reviewed = 0;
let busy = false;
let finding = false;

// The question that the server was last told of.
let told = "";

// The server keeps the place: it is there again in any browser.
function keepPlace({ one, other }) {
  const now = `${one} ${other}`;
  if (now === told) return;
  told = now;
  ask("PUT", "/review/place", { json: { one, other } }).catch(() => { told = ""; });
}

async function load() {
  try {
    const found = await get("/review", { limit: 30 });
    questions = found.questions;
    left = found.left;
    reviewed = found.reviewed;
    if (found.finding) setTimeout(load, 2000);
    find("#finding").hidden = !found.finding;
    finding = found.finding;
    draw();
  } catch (error) { failed(error); }
}

const current = () => questions[0];

function side(section, title, href, tracklets, most = 12) {
  section.replaceChildren(
    make("h3", {}, href ? make("a", { href }, title) : title),
    make("ul", { class: "strip" }, ...tracklets.slice(0, most).map(({ id, note }) =>
      make("li", {}, picture(id, 256, ""), note ? make("div", { class: "note" }, note) : null))),
    tracklets.length > most ? make("p", { class: "facts" }, `and ${tracklets.length - most} more`) : "");
}

const shown = (person, without = null) => {
  const rows = person.tracklets.map((id, n) => ({ id, sure: person.probability[n] })).filter(({ id }) => id !== without);
  rows.sort((a, b) => (b.id === person.best) - (a.id === person.best) || b.sure - a.sure);
  return rows.map(({ id, sure }) => ({ id, note: sure < 0.9 ? percent(sure) : "" }));
};

const about = (person) => `${called(person)}: ${visits(person.tracklets.length)}, ${person.cameras.join(", ")}, last ${moment(person.last_seen)}`;

function draw() {
  const question = current();
  find("#left").textContent = left ? `${left} left` : "";
  find("#progress").max = Math.max(1, reviewed + left);
  find("#progress").value = reviewed;
  find("#reviewed").textContent = `${reviewed.toLocaleString()} of ${(reviewed + left).toLocaleString()}`;
  find("#question").hidden = !question;
  find("#done").hidden = Boolean(question) || finding;
  if (!question) return;
  keepPlace(question);
  const pair = question.kind !== "member";
  const title = question.kind === "undecided" ? `Is this undecided visit ${called(question.person)}?` : pair ? `Are ${called(question.person)} and ${called(question.other_person)} one person?` : `Is this ${called(question.person)}?`;
  find("#asked").textContent = title;
  find("#sure").textContent = `By looks and times: ${percent(question.probability)} yes.`;
  side(find("#one"), about(question.person), `/people/${question.one}`, shown(question.person, pair ? null : question.other));
  if (pair) side(find("#other"), about(question.other_person), `/people/${question.other}`, shown(question.other_person));
  else side(find("#other"), "This picture", null, [{ id: question.other, note: "" }]);
  find("[data-answer=yes]").firstChild.textContent = pair ? "Same person " : "It is them ";
  find("[data-answer=no]").firstChild.textContent = pair ? "Two people " : "Somebody else ";
  // The pictures of the next question come meanwhile.
  const coming = questions[1];
  if (coming) for (const id of [coming.person.best, coming.other_person?.best || coming.other]) new Image().src = `/api/v1/tracklets/${id}/crop?w=256`;
  say(`${title} ${percent(question.probability)} yes. ${left} left.`);
}

function seen(question) {
  const people = [question.person, question.other_person].filter(Boolean);
  return Object.fromEntries(people.flatMap((person) => person.tracklets.map((id) => [id, person.id])));
}

// One answer at a time: the next key counts when the next question is there.
function wait(is) {
  busy = is;
  find("#question").setAttribute("aria-busy", String(is));
}

async function answer(what) {
  const question = current();
  if (!question || busy) return;
  if (what === "split") { location.assign(`/people/${question.one}`); return; }
  wait(true);
  try {
    if (what === "skip" || what === "later") {
      await post("/review/answers", { one: question.one, other: question.other, answer: what });
    } else {
      const pair = question.kind !== "member";
      const decision = pair
        ? { kind: what === "yes" ? "merge" : "apart", people: [question.one, question.other] }
        : what === "yes" ? { kind: "confirm", person: question.one, tracklets: [question.other] } : { kind: "reject", tracklet: question.other, person: question.one };
      await decide({ ...decision, seen: seen(question) }, async () => {});
    }
    questions.shift();
    left = Math.max(0, left - 1);
    reviewed += what === "later" ? 0 : 1;
    if (questions.length > 3) draw();
    await load();
  } catch (error) {
    failed(error);
    await load();
  } finally { wait(false); }
}

for (const button of document.querySelectorAll("[data-answer]")) button.addEventListener("click", () => answer(button.dataset.answer));
find("#again").addEventListener("click", async () => { await ask("DELETE", "/review/answers").catch(failed); await load(); });
keys([
  ["y", "yes: the same person, or it is them", () => answer("yes")],
  ["n", "no: two people, or somebody else", () => answer("no")],
  ["x", "open the first person, to split them", () => answer("split")],
  ["l", "later: after all others", () => answer("later")],
  ["s", "skip: do not ask me again", () => answer("skip")],
]);
await load();
listen(() => { if (!busy && questions.length < 2) load(); }, 3000);
