// Users, tokens, sessions.

import { ask, done, failed, find, get, make, may, moment, post } from "./page.js";

const seen = (cameras) => (cameras === null ? "all cameras" : cameras.length ? cameras.join(", ") : "no camera");
const trouble = (error) => { find("#problem").textContent = error.message; };

async function load() {
  try {
    if (may("admin")) {
      const { users } = await get("/users");
      find("#users").replaceChildren(...users.map((user) => make("li", {},
        make("span", { class: "what" }, make("strong", {}, user.name), ` ${user.role}, ${seen(user.cameras)}${user.issuer ? `; signs in through ${user.issuer}` : ""}`),
        make("button", { type: "button", class: "quiet", onclick: () => end(`/users/${user.id}`, `${user.name} is removed.`) }, "Remove"))));
    }
    const { tokens } = await get("/tokens");
    find("#tokens").replaceChildren(...(tokens.length ? tokens.map((token) => make("li", {},
      make("span", { class: "what" }, make("strong", {}, token.name), ` of ${token.user}, ${token.role}, ${seen(token.cameras)}; used ${moment(token.used)}`),
      make("button", { type: "button", class: "quiet", onclick: () => end(`/tokens/${token.id}`, "The token is ended.") }, "End"))) : [make("li", {}, "None.")]));
    const { sessions } = await get("/sessions");
    find("#sessions").replaceChildren(...sessions.map((session) => make("li", {},
      make("span", { class: "what" }, make("strong", {}, session.user), ` from ${session.address}, begun ${moment(session.begun)}, used ${moment(session.used)}`),
      make("button", { type: "button", class: "quiet", onclick: () => end(`/sessions/${session.id}`, "The session is ended.") }, "End"))));
  } catch (error) { failed(error); }
}

async function end(path, text) {
  find("#problem").textContent = "";
  try { await ask("DELETE", path); done(text); } catch (error) { trouble(error); }
  get("/me").then((me) => { find("#password").closest("section").hidden = !me.password; }).catch(failed);
await load();
}

function sends(id, path, values, after) {
  find(id)?.addEventListener("submit", async (event) => {
    event.preventDefault();
    find("#problem").textContent = "";
    try {
      const made = await post(path, values(event.target.elements));
      event.target.reset();
      after(made);
      get("/me").then((me) => { find("#password").closest("section").hidden = !me.password; }).catch(failed);
await load();
    } catch (error) { trouble(error); }
  });
}

const list = (text) => { const names = text.split(",").map((name) => name.trim()).filter(Boolean); return names.length ? names : null; };
sends("#add-user", "/users", (f) => ({ name: f.name.value, password: f.password.value, role: f.role.value, cameras: list(f.cameras.value) }), (user) => done(`${user.name} can log in now.`));
sends("#add-token", "/tokens", (f) => ({ name: f.name.value, role: f.role.value }), (made) => {
  find("#token").textContent = `Keep it now, it is not shown again: ${made.token}`;
  find("#token").hidden = false;
});
sends("#password", "/me/password", (f) => ({ old: f.old.value, new: f.new.value }), () => location.assign("/login"));
get("/me").then((me) => { find("#password").closest("section").hidden = !me.password; }).catch(failed);
await load();
