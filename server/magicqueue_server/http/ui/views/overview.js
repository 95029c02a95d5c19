// The server at a glance: what waits, what runs, what comes in and goes out, and what is wrong.

import { html, nothing } from "../vendor/lit-html.js";
import { can, get, notReady } from "../api.js";
import { Chart } from "../chart.js";
import { brief, count, rate, size, span } from "../format.js";
import { Live } from "../live.js";
import { banner, tile, trouble } from "../parts.js";
import { QueueTable } from "./queues.js";

const NEARLY = 0.9;

export class Overview {
  title = "Overview";

  constructor({ changed }) {
    this.live = new Live(() => this.ask(), () => this.fresh());
    this.changed = changed;
    this.table = new QueueTable(changed, 10);
    this.chart = new Chart(
      [
        { label: "in", colour: "--in" },
        { label: "done", colour: "--done" },
        { label: "failed", colour: "--failed" },
      ],
      rate,
    );
  }

  start() {
    this.live.start();
    this.table.start();
  }

  stop() {
    this.live.stop();
    this.table.stop();
    this.chart.end();
  }

  async ask() {
    const [stats, lacking] = await Promise.all([get("v1/stats"), notReady()]);
    this.lacking = lacking;
    return stats;
  }

  fresh() {
    if (this.live.columns[0].length > 1) this.chart.set(this.live.columns);
    this.changed();
  }

  template() {
    const now = this.live.now;
    return html`
      <h1>Overview</h1>
      ${trouble(this.live.error)}
      ${now ? this.banners(now) : nothing}
      ${now ? this.tiles(now) : html`<p class="empty">Loading…</p>`}
      <section aria-labelledby="rates"><h2 id="rates">Jobs a second</h2>
        ${this.chart.element}</section>
      <section aria-labelledby="first-queues">
        <h2 id="first-queues">Queues</h2>
        ${this.table.template()}
        <p><a href="#/queues">All ${now ? count(now.queues) : ""} queues</a></p>
      </section>`;
  }

  banners(now) {
    const said = [];
    if (this.lacking) said.push(banner("bad", `Not all works: ${this.lacking}.`));
    const limit = now.memory_bytes_max ?? 0;
    if (limit && now.memory_bytes > NEARLY * limit) said.push(banner("bad", `Nearly full: jobs take ${size(now.memory_bytes)} of ${size(limit)}.`));
    if (now.paused) said.push(banner("warn", `${count(now.paused)} ${now.paused === 1 ? "queue is" : "queues are"} paused.`));
    if (now.throttled) said.push(banner("warn", `${count(now.throttled)} ${now.throttled === 1 ? "queue is" : "queues are"} throttled.`));
    const atWork = now.waiting || now.processing || this.live.rates?.completed || this.live.rates?.failed;
    if (now.queued && this.live.rates && !atWork) said.push(banner("warn", "Jobs are ready, and no worker takes them."));
    return said;
  }

  tiles(now) {
    const rates = this.live.rates ?? {};
    return html`
      <dl class="tiles ten">
        ${tile("Ready", brief(now.queued), now.oldest_ready_ms ? `oldest waits ${span(now.oldest_ready_ms)}` : "nobody waits")}
        ${tile("Active", brief(now.processing), `${count(now.waiting)} workers' pulls wait`)}
        ${tile("Delayed", brief(now.delayed), now.blocked ? `and ${brief(now.blocked)} blocked by others` : nothing)}
        ${tile("Dead", brief(now.dead), !now.dead ? "none" : can("browse") ? html`<a href="#/jobs?state=dead">look at them</a>` : "see their queues", now.dead ? "bad" : "")}
        ${tile("Queues", brief(now.queues), now.groups ? `${count(now.groups)} groups take turns` : nothing)}
        ${tile("In", html`${rate(rates.pushed)}<small>/s</small>`, `${brief(now.pushed)} since the start`)}
        ${tile("Done", html`${rate(rates.completed)}<small>/s</small>`, `${brief(now.completed)} since the start`)}
        ${tile("Failed", html`${rate(rates.failed)}<small>/s</small>`, `${brief(now.failed)} since the start`, rates.failed ? "bad" : "")}
        ${tile("Memory", size(now.memory_bytes), now.memory_bytes_max ? html`<meter min="0" max=${now.memory_bytes_max} high=${NEARLY * now.memory_bytes_max} value=${now.memory_bytes} aria-label="Memory of its limit"></meter> of ${size(now.memory_bytes_max)}` : nothing)}
        ${tile("Connections", count(now.connections), `up ${span(now.uptime_ms)}`)}
      </dl>`;
  }
}
