// The page is made by the server; here it only learns whose hours its reader lives by.

import "./page.js";

const asked = new URLSearchParams(location.search);
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (!asked.has("time_zone") && zone && zone !== "UTC") {
  asked.set("time_zone", zone);
  location.replace(`${location.pathname}?${asked}`);
}
