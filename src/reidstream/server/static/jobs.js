// What takes longer: exports, erasures, deciding anew.

import { disclosed, failed, fillCameras, find, get, make, moment, post } from "./page.js";

const NAMES = { erase: "Erasing", export: "Export", disclosure: "Somebody's own pictures", resolve: "Deciding everybody anew", import: "Import", rebuild: "Making the index anew", retention: "Erasing what was due" };
const form = find("#export");

function result(job) {
  if (job.error) return make("span", { class: "error" }, job.error);
  if (!job.result) return null;
  if (job.kind === "export") {
    return make("span", {}, `${job.result.tracklets} tracklets, ${(job.result.bytes / 1e6).toFixed(1)} MB `, make("a", { href: `/api/v1/exports/${job.id}/file`, download: "" }, "Download"));
  }
  if (job.kind === "disclosure") {
    return make("span", {}, `${disclosed(job.result)} `, make("a", { href: `/api/v1/exports/${job.id}/file`, download: "" }, "Download"));
  }
  if (job.kind === "erase") return make("span", {}, `${job.result.tracklets} tracklets; ${job.result.proven ? "proven" : `not proven: ${job.result.reach}`}`);
  if (job.kind === "retention") return make("span", {}, job.result.visits ? `${job.result.visits} visits, ${job.result.people} people; ${job.result.proven ? "proven" : `not proven: ${job.result.reach}`}` : "nothing was due");
  if (job.kind === "import") return make("span", {}, `${job.result.tracklets} tracklets, ${job.result.people} people and ${job.result.operations} decisions were added`);
  if (job.kind === "rebuild") return make("span", {}, `from ${job.result.tracklets} tracklets`);
  return make("span", {}, `${job.result.before} people became ${job.result.people}; ${job.result.moved} tracklets moved`);
}

async function load() {
  try {
    const { jobs } = await get("/jobs");
    find("#empty").hidden = jobs.length > 0;
    find("#jobs").replaceChildren(...jobs.map((job) => make("li", {},
      make("span", { class: "when" }, moment(job.begun)),
      make("span", { class: "what" }, make("strong", {}, NAMES[job.kind] || job.kind), ` by ${job.who}: ${job.state} `, result(job)),
      job.state === "running" ? make("progress", job.total ? { max: job.total, value: job.done, "aria-label": "How far it is" } : { "aria-label": "Running" }) : null)));
  } catch (error) { failed(error); }
}

async function retention() {
  let kept;
  // Whoever sees some cameras only is not told.
  try { kept = await get("/retention"); } catch { return; }
  if (!kept.rules) return;
  find("#retention").hidden = false;
  const each = Object.entries(kept.rules.cameras).map(([camera, days]) => `${camera} ${days}`);
  const rules = [kept.rules.days === null ? null : `visits are kept for ${kept.rules.days} days`, each.length ? `of cameras: ${each.join(", ")}` : null,
    kept.rules.named_days === null ? null : `of people with a name: ${kept.rules.named_days}`].filter(Boolean).join("; ");
  find("#rules").textContent = `Rules: ${rules}. Due now: ${kept.due.visits} visits, and ${kept.due.people} people with their last one (${kept.due.named} with a name); ${kept.due.kept} visits stay. Next: ${moment(kept.next)}.`;
  find("#runs").replaceChildren(...kept.runs.map((run) => make("li", {}, make("span", { class: "when" }, moment(run.begun_wall)),
    make("span", { class: "what" }, `${run.state}, by ${run.who}: ${run.tracklets} visits, ${run.people} people${run.proven === null ? "" : run.proven ? "; proven" : `; not proven: ${run.reach}`}`))));
}

find("#erase-due").addEventListener("click", async () => {
  find("#problem").textContent = "";
  try { await post("/retention", {}); } catch (error) { find("#problem").textContent = error.message; }
  await load();
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#problem").textContent = "";
  const camera = form.elements.camera.value;
  try { await post("/exports", { format: form.elements.format.value, sources: camera ? [camera] : [] }); } catch (error) { find("#problem").textContent = error.message; }
  await load();
});
find("#resolve").addEventListener("click", async () => {
  find("#problem").textContent = "";
  try { await post("/resolve", {}); } catch (error) { find("#problem").textContent = error.message; }
  await load();
});
find("#rebuild").addEventListener("click", async () => {
  find("#problem").textContent = "";
  try { await post("/rebuilds", {}); } catch (error) { find("#problem").textContent = error.message; }
  await load();
});
find("#import").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#problem").textContent = "";
  try { await post("/imports", { folder: event.target.elements.folder.value.trim() }); } catch (error) { find("#problem").textContent = error.message; }
  await load();
});
await fillCameras(form.elements.camera).catch(failed);
await load();
await retention();
setInterval(load, 1500);
