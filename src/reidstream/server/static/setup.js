// The secret of the link is behind the hash, which a browser sends to nobody.

import { find, post } from "./page.js";

const secret = location.hash.slice(1);
history.replaceState(null, "", "/setup");
if (!secret) find("#problem").textContent = "Open this page with the link that the server wrote at its first start.";

find("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#problem").textContent = "";
  const { name, password } = event.target.elements;
  try {
    await post("/setup", { secret, name: name.value, password: password.value });
    location.assign("/");
  } catch (error) { find("#problem").textContent = error.message; }
});
