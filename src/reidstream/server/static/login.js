import { find, post } from "./page.js";

find("#form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  find("#problem").textContent = "";
  const { name, password } = event.target.elements;
  try {
    await post("/login", { name: name.value, password: password.value });
    location.assign("/");
  } catch (error) { find("#problem").textContent = error.message; }
});
