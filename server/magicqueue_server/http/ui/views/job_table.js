// A table of jobs of one state, by pages; some or all of them can be chosen, and dealt with.

import { html, nothing } from "../vendor/lit-html.js";
import { repeat } from "../vendor/directives/repeat.js";
import { live } from "../vendor/directives/live.js";
import { can, command, may } from "../api.js";
import { bulk, WORDS } from "../bulk.js";
import { ago, count, oneLine } from "../format.js";
import { Live } from "../live.js";
import { Pages, banner, confirmed, dataCell, empty, jobLink, pager, queueLink, state, time, trouble } from "../parts.js";

const PAGE = 50;
const EVERY_MS = 3000;
const PIECE = 20;

/** What can be done to jobs of a state. */
export const ACTIONS = {
  ready: ["cancel"], delayed: ["promote", "cancel"], blocked: ["cancel"], active: ["cancel"], dead: ["retry", "purge"],
};

/** Do to single jobs what their buttons say. */
export async function deal(what, ids) {
  const group = { cancel: "CANCEL", promote: "PROMOTE" }[what];
  if (group) return command(group, { ids });
  const single = { retry: "RETRYDEAD", purge: "PURGEDEAD" }[what];
  for (let at = 0; at < ids.length; at += PIECE) {
    await Promise.all(ids.slice(at, at + PIECE).map((id) => command(single, { id })));
  }
  return null;
}

export class JobTable {
  constructor({ changed, match, order = "id", whole = false }) {
    this.changed = changed;
    this.match = match;
    this.order = order;
    this.whole = whole;
    this.rows = null;
    this.error = null;
    this.said = null;
    this.looked = 0;
    this.busy = false;
    this.chosen = new Set();
    this.asked = 0;
    this.pages = new Pages(() => { this.chosen.clear(); this.load(); });
  }

  start() {
    this.going = true;
    this.load();
    this.timer = setInterval(() => {
      const still = document.hidden || Live.stopped || this.busy || this.chosen.size || this.match.contains;
      if (!still) this.load();
    }, EVERY_MS);
  }

  stop() {
    this.going = false;
    this.abort?.abort();
    clearInterval(this.timer);
  }

  /** Ask for a page; a search goes on until it has one full, or has seen all. */
  async load() {
    if (!this.going) return;
    const turn = ++this.asked;
    this.abort?.abort();
    this.abort = new AbortController();
    const found = [];
    let after = this.pages.cursor;
    this.looked = 0;
    this.busy = true;
    try {
      do {
        const reply = await this.page(PAGE - found.length, after);
        if (turn !== this.asked) return;
        found.push(...reply.jobs);
        after = reply.next;
        this.looked += reply.scanned ?? reply.jobs.length;
        if (this.match.contains) { this.rows = found; this.changed(); }
      } while (after !== null && found.length < PAGE && this.match.contains);
      this.rows = found;
      this.pages.following = after;
      this.error = null;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
    }
    this.busy = false;
    this.changed();
  }

  /** Ask for some jobs; a core that cannot be looked through still tells its dead letters. */
  page(count, after) {
    const fields = { count, ...(after === null ? {} : { after }) };
    const signal = this.abort.signal;
    if (can("browse")) return command("JOBS", { ...this.match, order: this.order, ...fields }, signal);
    return command("DEAD", { queue: this.match.queue, ...fields }, signal);
  }

  async one(what, job) {
    await this.some(what, [job.id]);
  }

  async some(what, ids) {
    if (what === "purge" || (what === "cancel" && ids.length > 1)) {
      const go = await confirmed(`${WORDS[what]} ${count(ids.length)} ${ids.length === 1 ? "job" : "jobs"}?`, "This cannot be undone.", WORDS[what]);
      if (!go) return;
    }
    this.busy = true;
    this.changed();
    try {
      await deal(what, ids);
      this.said = `${WORDS[what]}: ${count(ids.length)} ${ids.length === 1 ? "job" : "jobs"}.`;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.busy = false;
    this.chosen.clear();
    this.load();
  }

  async all(what) {
    this.busy = true;
    try {
      const said = await bulk(what, this.match, (sofar) => { this.said = sofar; this.changed(); });
      this.said = said;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.busy = false;
    this.pages.reset();
    this.load();
  }

  choose(id, on) {
    if (on) this.chosen.add(id);
    else this.chosen.delete(id);
    this.changed();
  }

  template() {
    const actions = may("operate") ? ACTIONS[this.match.state] ?? [] : [];
    return html`
      ${trouble(this.error)}
      ${this.said ? banner("good", this.said) : nothing}
      ${actions.length && this.rows?.length ? this.actions(actions) : nothing}
      ${this.rows === null ? (this.error ? nothing : empty("Loading…")) : this.rows.length ? this.table(actions) : empty(this.busy ? "Looking…" : `No ${this.match.state ? `${this.match.state} ` : ""}job${this.match.contains ? " has that in its data" : ""}.`)}
      ${this.match.contains && this.looked ? html`<p class="muted" role="status">${this.busy ? "Looking: " : ""}${count(this.looked)} jobs looked at${this.pages.hasNext ? ", and there are more" : this.busy ? "" : ", which is all of them"}.</p>` : nothing}
      ${this.rows && (this.pages.hasBefore || this.pages.hasNext) ? pager(this.pages, this.busy) : nothing}`;
  }

  actions(actions) {
    const ids = [...this.chosen];
    return html`<div class="bar" role="group" aria-label="What can be done">
      ${actions.map((what) => html`<button ?disabled=${this.busy || !ids.length} @click=${() => this.some(what, ids)}>${WORDS[what]} ${ids.length ? `the ${count(ids.length)} chosen` : "chosen"}</button>`)}
      ${this.whole && this.match.queue ? actions.map((what) => html`<button class=${what === "purge" || what === "cancel" ? "danger" : ""} ?disabled=${this.busy} @click=${() => this.all(what)}>${WORDS[what]} all that match…</button>`) : this.whole ? html`<span class="muted">Name a queue to deal with all that match.</span>` : nothing}
    </div>`;
  }

  table(actions) {
    const every = this.rows.every((job) => this.chosen.has(job.id));
    const kind = this.match.state;
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of jobs"><table>
      <thead><tr>
        ${actions.length ? html`<th scope="col"><input type="checkbox" aria-label="Choose all of this page" .checked=${live(every)} @change=${(event) => { this.rows.forEach((job) => (event.target.checked ? this.chosen.add(job.id) : this.chosen.delete(job.id))); this.changed(); }}></th>` : nothing}
        <th scope="col">Job</th>${this.match.queue ? nothing : html`<th scope="col">Queue</th>`}
        ${kind ? nothing : html`<th scope="col">State</th>`}
        <th scope="col">Data</th>${this.heads(kind)}
        ${actions.length ? html`<th scope="col"><span class="hidden">What can be done</span></th>` : nothing}
      </tr></thead>
      <tbody>${repeat(this.rows, (job) => job.id, (job) => html`<tr>
        ${actions.length ? html`<td><input type="checkbox" aria-label="Choose job ${job.id}" .checked=${live(this.chosen.has(job.id))} @change=${(event) => this.choose(job.id, event.target.checked)}></td>` : nothing}
        <th scope="row">${jobLink(job.id)}</th>${this.match.queue ? nothing : html`<td>${queueLink(job.queue)}</td>`}
        ${kind ? nothing : html`<td>${state(job.state)}</td>`}
        <td>${dataCell(job)}</td>${this.cells(kind, job)}
        ${actions.length ? html`<td class="actions">${actions.map((what) => html`<button ?disabled=${this.busy} aria-label="${WORDS[what]} job ${job.id}" @click=${() => this.one(what, job)}>${WORDS[what]}</button>`)}</td>` : nothing}
      </tr>`)}</tbody></table></div>`;
  }

  heads(kind) {
    const names = { dead: ["Why", "Error", "Died"], active: ["Attempt", "Lease left", "Progress"], delayed: ["Priority", "Due"], ready: ["Priority", "Pushed"] }[kind] ?? ["Priority", "Pushed"];
    return names.map((name) => html`<th scope="col">${name}</th>`);
  }

  cells(kind, job) {
    if (kind === "dead") return html`<td>${job.reason}</td><td><code class="data">${oneLine(reason(job.error))}</code></td><td>${time(job.died_at)}</td>`;
    if (kind === "active") return html`<td class="n">${job.attempts}</td><td>${ago(job.lease_until)}</td><td>${progress(job)}</td>`;
    if (kind === "delayed") return html`<td class="n">${job.priority}</td><td>${time(job.run_at)}</td>`;
    return html`<td class="n">${job.priority}</td><td>${time(job.created_at)}</td>`;
  }
}

/** Our workers say what went wrong first, and the traceback behind it; others only that. */
function reason(error) {
  const lines = (error ?? "").split("\n").filter((line) => line.trim());
  return (lines[0]?.startsWith("Traceback") ? lines[lines.length - 1] : lines[0]) ?? "";
}

export function progress(job) {
  if (job.cancelled) return html`<span class="state cancelled">cancelling</span>`;
  if (!job.progress) return html`<span class="muted">–</span>`;
  const { percent, note } = job.progress;
  return html`${percent === null || percent === undefined ? nothing : html`<progress max="100" value=${percent} aria-label="Progress of job ${job.id}"></progress> ${percent} %`} ${note ?? ""}`;
}
