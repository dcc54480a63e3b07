// What is read, and how it goes.

import { drawMask } from "./masks.js";
import { ask, done, failed, find, get, make, may, moment, post } from "./page.js";

const form = find("#add");

async function load() {
  if (find("dialog[open]")) return;
  try {
    const { sources } = await get("/sources");
    find("#empty").hidden = sources.length > 0;
    find("#sources").replaceChildren(...sources.map((one) => make("li", {},
      make("span", { class: "what" }, make("strong", {}, one.name), " ", make("span", { class: one.state === "failed" ? "error" : one.state === "running" ? "good" : "" }, one.words),
        one.by_run ? make("div", { class: "facts" }, "read by a command (reidstream run) that stores here") : null,
        one.uri ? make("div", { class: "facts" }, one.uri) : null),
      make("span", { class: "facts" }, `${one.frames.toLocaleString()}${one.expected ? ` of ${one.expected.toLocaleString()}` : ""} frames, ${one.dropped} dropped`,
        one.last_frame ? `, last ${moment(one.last_frame)}` : "", one.deaths ? `, started again ${one.deaths} times` : ""),
      may("operator") && !one.by_run ? make("button", { type: "button", class: "quiet mask", onclick: () => drawMask(one.name).then(load) }, "Regions", one.ignored_regions + one.zones.length ? ` (${one.ignored_regions + one.zones.length})` : "") : null,
      may("operator") && !one.by_run ? make("button", { type: "button", class: "quiet", onclick: () => pause(one) }, one.paused ? "Go on" : "Pause") : null,
      may("operator") && one.removable ? make("button", { type: "button", class: "quiet", onclick: () => remove(one) }, "Remove") : null)));
  } catch (error) { failed(error); }
}

async function pause(one) {
  try { await ask("PATCH", `/sources/${encodeURIComponent(one.name)}`, { json: { paused: !one.paused } }); } catch (error) { failed(error); }
  await load();
}

async function remove(one) {
  try { await ask("DELETE", `/sources/${encodeURIComponent(one.name)}`); done(`${one.name} is read no more; what it saw stays.`); } catch (error) { failed(error); }
  await load();
}

function wanted() {
  const { uri, name, max_fps: fps } = form.elements;
  const values = { uri: uri.value.trim() };
  if (name.value.trim()) values.name = name.value.trim();
  if (fps.value) values.max_fps = Number(fps.value);
  return values;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#problem").textContent = "";
  try {
    const made = await post("/sources", wanted());
    form.reset();
    find("#trial").hidden = true;
    done(`${made.name} is being read.`);
    await load();
  } catch (error) { find("#problem").textContent = error.message; }
});

find("#try").addEventListener("click", async () => {
  if (!form.reportValidity()) return;
  find("#problem").textContent = "";
  find("#try").disabled = true;
  try {
    const found = await post("/sources/trial", wanted());
    const bytes = Uint8Array.from(atob(found.picture), (letter) => letter.charCodeAt(0));
    find("#trial img").src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    find("#trial figcaption").textContent = `${found.width} × ${found.height} pixels, ${found.fps ? `${found.fps.toFixed(1)} frames a second` : "frame rate unknown"}`;
    find("#trial").hidden = false;
  } catch (error) { find("#problem").textContent = error.message; }
  find("#try").disabled = false;
});

await load();
setInterval(load, 3000);
