// All queues, by pages: a hundred thousand cost no more than fifty.

import { html, nothing } from "../vendor/lit-html.js";
import { repeat } from "../vendor/directives/repeat.js";
import { command, get, may } from "../api.js";
import { count, rate, span } from "../format.js";
import { Live } from "../live.js";
import { Pages, empty, pager, queueLink, trouble } from "../parts.js";
import { told } from "./limits.js";

const PAGE = 50;
const EVERY_MS = 2000;

/** What LIMIT and THROTTLE say of a queue. */
function ruled(row) {
  if (row.throttled_until && row.throttled_until > Date.now()) return html`<span class="state paused">throttled</span>`;
  const limits = row.limits && told(row.limits);
  return limits ? html`<span class="state" title="At most ${limits}">limited</span>` : nothing;
}

/** A table of queues that keeps itself fresh. */
export class QueueTable {
  constructor(changed, size = PAGE) {
    this.changed = changed;
    this.size = size;
    this.prefix = "";
    this.rows = null;
    this.before = new Map();
    this.error = null;
    this.asked = 0;
    this.pages = new Pages(() => this.load());
  }

  start() {
    this.load();
    this.timer = setInterval(() => {
      if (!document.hidden && !Live.stopped) this.load();
    }, EVERY_MS);
  }

  stop() {
    clearInterval(this.timer);
  }

  async load() {
    const turn = ++this.asked;
    const query = new URLSearchParams({ count: this.size });
    if (this.pages.cursor !== null) query.set("after", this.pages.cursor);
    if (this.prefix) query.set("prefix", this.prefix);
    try {
      const reply = await get(`v1/queues?${query}`);
      if (turn !== this.asked) return; // the user has turned the page meanwhile
      this.take(reply);
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  take(reply) {
    const at = performance.now() / 1000;
    this.rows = reply.queues.map((row) => {
      const last = this.before.get(row.name);
      const passed = last ? at - last.at : 0;
      const speed = (name) => (last ? Math.max(0, row[name] - last[name]) / passed : null);
      return { ...row, in: speed("pushed"), out: speed("completed") };
    });
    this.before = new Map(reply.queues.map((row) => [row.name, { at, pushed: row.pushed, completed: row.completed }]));
    this.pages.following = reply.next;
  }

  search(event) {
    this.prefix = event.target.value;
    this.pages.reset();
    this.load();
  }

  async turn(row) {
    try {
      await command(row.paused ? "RESUME" : "PAUSE", { queue: row.name });
    } catch (error) {
      this.error = error;
    }
    this.load();
  }

  template() {
    if (!this.rows) return this.error ? trouble(this.error) : empty("Loading…");
    if (!this.rows.length) return empty(this.prefix ? `No queue begins with “${this.prefix}”.` : "No queue yet: push a job, and its queue is here.");
    return html`${trouble(this.error)}
      <div class="scroll" tabindex="0" role="region" aria-label="Table of queues"><table>
        <thead><tr><th scope="col">Queue</th><th scope="col" class="n">Ready</th><th scope="col" class="n">Active</th>
          <th scope="col" class="n">Delayed</th><th scope="col" class="n">Blocked</th>
          <th scope="col" class="n">Dead</th><th scope="col" class="n">In /s</th><th scope="col" class="n">Done /s</th>
          <th scope="col" class="n">Oldest</th>${may("operate") ? html`<th scope="col"><span class="hidden">What can be done</span></th>` : nothing}</tr></thead>
        <tbody>${repeat(this.rows, (row) => row.name, (row) => html`
          <tr><th scope="row">${queueLink(row.name)} ${row.paused ? html`<span class="state paused">paused</span>` : nothing} ${ruled(row)}</th>
            <td class="n">${count(row.queued)}</td><td class="n">${count(row.processing)}</td>
            <td class="n">${count(row.delayed)}</td><td class="n">${count(row.blocked ?? 0)}</td>
            <td class="n ${row.dead ? "bad" : ""}">${count(row.dead)}</td>
            <td class="n">${rate(row.in)}</td><td class="n">${rate(row.out)}</td>
            <td class="n">${row.oldest_ready_ms ? span(row.oldest_ready_ms) : "–"}</td>
            ${may("operate") ? html`<td class="actions"><button aria-label="${row.paused ? "Resume" : "Pause"} ${row.name}" @click=${() => this.turn(row)}>${row.paused ? "Resume" : "Pause"}</button></td>` : nothing}
          </tr>`)}</tbody>
      </table></div>`;
  }
}

export class Queues {
  title = "Queues";

  constructor({ changed }) {
    this.table = new QueueTable(changed);
  }

  start() { this.table.start(); }
  stop() { this.table.stop(); }

  template() {
    return html`
      <h1>Queues</h1>
      <div class="bar"><label>Begins with
        <input type="search" autocomplete="off" spellcheck="false" @input=${(event) => this.table.search(event)}></label></div>
      ${this.table.template()}
      ${this.table.rows ? pager(this.table.pages, false) : nothing}`;
  }
}
