// Pieces that several views are made of.

import { html, nothing } from "./vendor/lit-html.js";
import { ago, count, moment, oneLine } from "./format.js";
import { Refused } from "./api.js";

export const link = (...segments) => `#/${segments.map(encodeURIComponent).join("/")}`;

export const queueLink = (name) => html`<a class="name" href=${link("queue", name)}>${name}</a>`;
export const jobLink = (id) => html`<a class="id" href=${link("job", String(id))}>${id}</a>`;

/** States of jobs that are here, in the order in which views show them. */
export const STATES = ["ready", "active", "delayed", "blocked", "dead"];
const ENDS = ["done", "cancelled", "expired"];

export const state = (name) => html`<span class="state ${[...STATES, ...ENDS].includes(name) ? name : "other"}">${name}</span>`;

export const time = (ms) =>
  ms === null || ms === undefined
    ? html`<span class="muted">–</span>`
    : html`<time datetime=${iso(ms)} title=${moment(ms)}>${ago(ms)}</time>`;

function iso(ms) {
  const when = new Date(ms);
  return Number.isNaN(when.getTime()) ? "" : when.toISOString();
}

export const tile = (label, value, note = nothing, kind = "") => html`
  <div class="tile ${kind}"><dt>${label}</dt><dd>${value}</dd>${note === nothing ? nothing : html`<dd class="note">${note}</dd>`}</div>`;

export const banner = (kind, text) =>
  html`<p class="banner ${kind}" role=${kind === "bad" ? "alert" : "status"}>${text}</p>`;

export const trouble = (error) =>
  error ? banner("bad", error instanceof Refused ? `${error.message} (${error.code})` : String(error)) : nothing;

export const empty = (text) => html`<p class="empty">${text}</p>`;

/** A job's data on one line; what the server left out for its size is said. */
export const dataCell = (job) =>
  job.data_bytes !== undefined && job.data === null
    ? html`<span class="muted">${count(job.data_bytes)} bytes, see the job</span>`
    : html`<code class="data">${oneLine(job.data)}</code>`;

/** Buttons to the page before and behind. */
export const pager = (pages, busy) => html`
  <nav class="pager" aria-label="Pages">
    <button ?disabled=${busy || !pages.hasBefore} @click=${() => pages.before()}>← Previous</button>
    <span class="muted">page ${pages.number}</span>
    <button ?disabled=${busy || !pages.hasNext} @click=${() => pages.next()}>Next →</button>
  </nav>`;

/** Pages by cursors: the way back is the cursors that were used. */
export class Pages {
  constructor(turned) {
    this.turned = turned;
    this.reset();
  }

  reset() {
    this.used = [null];
    this.following = null;
  }

  get cursor() { return this.used[this.used.length - 1]; }
  get number() { return this.used.length; }
  get hasBefore() { return this.used.length > 1; }
  get hasNext() { return this.following !== null && this.following !== undefined; }

  next() {
    this.used.push(this.following);
    this.turned();
  }

  before() {
    this.used.pop();
    this.turned();
  }
}

/** Ask before something is done; with `word`, that has to be typed. Gives whether to go on. */
export function confirmed(title, text, action, word = null) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "confirm-title");
    const heading = document.createElement("h2");
    heading.id = "confirm-title";
    heading.textContent = title;
    const said = document.createElement("p");
    said.textContent = text;
    const buttons = document.createElement("div");
    buttons.className = "actions";
    const no = document.createElement("button");
    no.textContent = "Leave it";
    const yes = document.createElement("button");
    yes.textContent = action;
    yes.className = "danger";
    buttons.append(no, yes);
    dialog.append(heading, said);
    if (word !== null) {
      const label = document.createElement("label");
      label.textContent = `Type ${word} to go on`;
      const input = document.createElement("input");
      input.autocomplete = "off";
      yes.disabled = true;
      input.addEventListener("input", () => { yes.disabled = input.value !== word; });
      label.append(input);
      dialog.append(label);
    }
    dialog.append(buttons);
    let answer = false;
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => { answer = true; dialog.close(); });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
