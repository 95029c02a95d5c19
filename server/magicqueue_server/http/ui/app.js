// The page as a whole: which view the address names, what stands around it, and when it is
// drawn. A view is an object with `template()`, and `start()` and `stop()` where it has to
// ask the server; it calls `changed` when there is something new to draw.

import { html, nothing, render } from "./vendor/lit-html.js";
import { can, meet, server, setToken, token } from "./api.js";
import { changeZone, keep, kept, zoneName } from "./format.js";
import { Live } from "./live.js";
import { trouble } from "./parts.js";
import { Overview } from "./views/overview.js";
import { Queues } from "./views/queues.js";
import { QueueView } from "./views/queue.js";
import { Jobs } from "./views/jobs.js";
import { JobView } from "./views/job.js";
import { Crons } from "./views/crons.js";

const root = document.getElementById("app");
const VIEWS = {
  "": Overview, queues: Queues, queue: QueueView, jobs: Jobs, job: JobView, crons: Crons,
};
const PLACES = [
  ["Overview", "#/", () => true],
  ["Queues", "#/queues", () => true],
  ["Jobs", "#/jobs", () => can("browse")],
  ["Dead letters", "#/jobs?state=dead", () => can("browse")],
  ["Crons", "#/crons", () => can("cron")],
];
const THEMES = ["auto", "light", "dark"];

let view = null;
let waiting = false;
let theme = kept("theme", "auto");

function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { segments: path.split("/").map(decode), query: new URLSearchParams(query) };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function open() {
  view?.stop?.();
  view = null;
  if (server.hello) {
    const { segments, query } = place();
    const Kind = VIEWS[segments[0]] ?? Overview;
    view = new Kind({ changed, query, name: segments[1] ?? null });
    document.title = `${view.title} · MagicQueue`;
    view.start?.();
  }
  draw();
  document.getElementById("main")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function begin() {
  try {
    await meet();
  } catch {
    draw();
    if (!server.needsToken) setTimeout(begin, 2000);
    return;
  }
  open();
}

function find(event) {
  event.preventDefault();
  const id = new FormData(event.target).get("job").trim();
  if (/^\d{1,16}$/.test(id)) location.hash = `#/job/${id}`;
}

function enter(event) {
  event.preventDefault();
  setToken(new FormData(event.target).get("token").trim());
  begin();
}

function leave() {
  setToken("");
  location.reload();
}

function changeTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  keep("theme", theme);
  paint();
  changed();
}

function paint() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new Event("themechange"));
}

const door = () => html`
  <main class="door" id="main" tabindex="-1">
    <h1>MagicQueue</h1>
    ${server.needsToken
      ? html`<form @submit=${enter}>
          <label>Token
            <input name="token" type="password" autocomplete="off" required autofocus>
          </label>
          <button class="primary">Come in</button>
          <p class="muted">It needs a token with the scope <code>read</code>. It is kept for this tab only.</p>
          ${token() && server.refused ? html`<p role="alert" class="banner bad">${server.refused}</p>` : nothing}
        </form>`
      : server.refused
        ? trouble(`${server.refused}: trying again…`)
        : html`<p class="empty">Loading…</p>`}
  </main>`;

function isHere(href) {
  const here = location.hash || "#/";
  const [path, query = ""] = href.split("?");
  if (path === "#/") return here === "#/" || here === "#";
  if (path === "#/jobs") {
    const dead = here.startsWith("#/jobs") && here.includes("state=dead");
    return here.startsWith("#/jobs") && dead === query.includes("state=dead");
  }
  return here.startsWith(path) || (path === "#/queues" && here.startsWith("#/queue/"));
}

const frame = () => html`
  <a class="skip" href="#main" @click=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
  <header>
    <a class="brand" href="#/"><img src="ui/icon.svg" alt="" width="26" height="26"><span>MagicQueue</span></a>
    <nav aria-label="Views">
      ${PLACES.filter(([, , shown]) => shown()).map(([label, href]) =>
        html`<a href=${href} aria-current=${isHere(href) ? "page" : nothing}>${label}</a>`)}
    </nav>
    <form class="find" role="search" @submit=${find}>
      <input name="job" inputmode="numeric" pattern="[0-9 ]*" placeholder="Job id" aria-label="Job by its id">
      <button>Go</button>
    </form>
    <div class="settings">
      <button @click=${() => { Live.stopped = !Live.stopped; changed(); }} aria-pressed=${Live.stopped ? "true" : "false"}>
        ${Live.stopped ? "▶ Go on" : "❚❚ Hold still"}</button>
      <button @click=${changeTheme} title="Light, dark, or as the system has it">◐ ${theme}</button>
      <button @click=${() => { changeZone(); changed(); }} title="In which zone times are shown">◷ ${zoneName()}</button>
      ${server.tokenName ? html`<button @click=${leave} title="Forget the token">⏻ ${server.tokenName}</button>` : nothing}
    </div>
  </header>
  <main id="main" tabindex="-1">${view?.template() ?? nothing}</main>
  <footer>
    <span>${server.hello.server} ${server.hello.version}</span>
    <span>${server.hello.core} core</span>
    <span>persistence: ${server.hello.persistence}</span>
  </footer>`;

function draw() {
  render(server.hello && !server.needsToken ? frame() : door(), root);
}

paint();
addEventListener("hashchange", open);
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.querySelector(".find input")?.focus();
  }
});
root.replaceChildren();
draw();
begin();
