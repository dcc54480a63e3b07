// Searching by a photo, in which a person is picked, or by a tracklet.

import { ask, called, failed, fillCameras, find, make, moment, percent, picture, post, say } from "./page.js";

const form = find("#asked");
let photo = null;
let box = null;

async function take(file) {
  photo = file;
  box = null;
  find("#problem").textContent = "";
  find("#found").hidden = true;
  form.elements.tracklet.value = "";
  const image = find("#photo img");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  find("#photo").hidden = false;
  find("#boxes").replaceChildren();
  try {
    const found = await ask("POST", "/photos/people", { body: file, type: file.type || "application/octet-stream" });
    await image.decode().catch(() => {});
    found.people.forEach((sides, n) => {
      const button = make("button", { type: "button", "aria-pressed": String(n === 0), "aria-label": `Person ${n + 1} of ${found.people.length}` });
      const [x1, y1, x2, y2] = sides;
      Object.assign(button.style, {
        left: `${(100 * x1) / found.width}%`, top: `${(100 * y1) / found.height}%`,
        width: `${(100 * (x2 - x1)) / found.width}%`, height: `${(100 * (y2 - y1)) / found.height}%`,
      });
      button.addEventListener("click", () => {
        box = sides;
        for (const other of find("#boxes").children) other.setAttribute("aria-pressed", String(other === button));
        search();
      });
      find("#boxes").append(button);
    });
    if (found.people.length) { box = found.people[0]; await search(); }
    else find("#problem").textContent = "Nobody was found in this photo. If it is a picture of one person, say so and search.";
  } catch (error) { find("#problem").textContent = error.message; }
}

async function search() {
  find("#problem").textContent = "";
  const camera = form.elements.camera.value;
  try {
    let found;
    if (form.elements.tracklet.value.trim()) {
      found = await post("/search", { tracklet: form.elements.tracklet.value.trim(), k: 24, cameras: camera ? [camera] : [] });
    } else if (photo) {
      const whole = form.elements.whole.checked;
      found = await ask("POST", "/search/photo", { body: photo, type: photo.type || "application/octet-stream", params: { k: 24, camera, whole, box: whole || !box ? null : box.join(",") } });
    } else { find("#problem").textContent = "Choose a photo, or name a tracklet."; return; }
    draw(found);
  } catch (error) { find("#problem").textContent = error.message; }
}

function draw(found) {
  const words = {
    person: () => `This is ${called(found.person)}`,
    given: () => `This is ${called(found.person)}, as decided`,
    nobody: () => "Nobody known",
    unclear: () => "Unclear: no name is sure enough",
    undecided: () => "Nobody was decided on in this gallery yet",
  };
  find("#verdict").textContent = words[found.verdict]() + (found.nobody !== null && found.nobody !== undefined ? ` (nobody known: ${percent(found.nobody)})` : "");
  find("#candidates").replaceChildren(...found.candidates.slice(0, 5).map((one) => {
    const shown = found.matches.find((match) => match.person?.id === one.id);
    return make("li", { class: "card" }, make("a", { href: `/people/${one.id}` }, shown ? picture(shown.id, 128, "") : null,
      make("span", { class: "text" }, make("strong", {}, called(one)), `${percent(one.probability)} likely`)));
  }));
  find("#matches").replaceChildren(...found.matches.map((match) => make("li", { class: "card" },
    make("a", { href: match.person ? `/people/${match.person.id}` : "#matches" }, picture(match.id, 256, ""),
      make("span", { class: "text" }, make("strong", {}, match.person ? called(match.person) : "no person yet"), match.source, make("br"), moment(match.start_wall))),
    make("span", { class: "tag", title: "cosine similarity" }, match.similarity.toFixed(3)))));
  find("#found").hidden = false;
  say(`${find("#verdict").textContent}. ${found.matches.length} tracklets.`);
}

form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
form.elements.photo.addEventListener("change", () => { if (form.elements.photo.files[0]) take(form.elements.photo.files[0]); });
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => { if (event.clipboardData.files[0]) take(event.clipboardData.files[0]); });

await fillCameras(form.elements.camera).catch(failed);
const given = new URLSearchParams(location.search).get("tracklet");
if (given) { form.elements.tracklet.value = given; search(); }
