// One queue: its counts and rates, its first jobs by state, its limits, and what can be done to it.

import { html, nothing } from "../vendor/lit-html.js";
import { can, command, get, may } from "../api.js";
import { Chart } from "../chart.js";
import { brief, count, moment, rate, span } from "../format.js";
import { Live } from "../live.js";
import { STATES, banner, confirmed, link, tile, trouble } from "../parts.js";
import { JobTable } from "./job_table.js";

/** The states whose jobs can be listed. */
const SHOWN = () => (can("browse") ? STATES : ["dead"]);
const FIELD = { ready: "queued", active: "processing" };

export class QueueView {
  constructor({ changed, name, query }) {
    this.name = name;
    this.title = name;
    this.changed = changed;
    this.error = null;
    this.said = null;
    this.limits = null;
    this.state = STATES.includes(query.get("state")) ? query.get("state") : SHOWN()[0];
    this.live = new Live(() => get(`v1/stats?${new URLSearchParams({ queue: name })}`), () => this.fresh());
    this.jobs = new JobTable({ changed, match: { queue: name, state: this.state }, order: this.state === "blocked" ? "id" : "turn" }); // blocked ones are in no order
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
    this.jobs.start();
    if (can("limits") && may("operate")) this.act("LIMIT", {}, (reply) => { this.limits = reply; });
  }

  stop() {
    this.live.stop();
    this.jobs.stop();
    this.chart.end();
  }

  fresh() {
    if (this.live.columns[0].length > 1) this.chart.set(this.live.columns);
    this.changed();
  }

  async act(cmd, fields, then) {
    try {
      const reply = await command(cmd, { queue: this.name, ...fields });
      then?.(reply);
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.jobs.load();
    this.changed();
  }

  async drain() {
    const now = this.live.now;
    const number = count((now?.queued ?? 0) + (now?.delayed ?? 0) + (now?.blocked ?? 0));
    const text = `It removes ${number} jobs that wait, for good. Active jobs and dead letters stay.`;
    if (await confirmed(`Drain ${this.name}?`, text, "Drain", this.name)) {
      this.act("DRAIN", {}, (reply) => { this.said = `${count(reply.removed)} jobs removed.`; });
    }
  }

  push(event) {
    event.preventDefault();
    const form = event.target;
    const fields = new FormData(form);
    const text = fields.get("data").trim();
    try {
      JSON.parse(text);
    } catch (error) {
      this.error = new Error(`The data is no JSON: ${error.message}`);
      this.changed();
      return;
    }
    // the data goes as it was typed: big numbers stay exact
    const more = JSON.stringify({ queue: this.name, priority: Number(fields.get("priority") || 0), delay: Math.round(1000 * Number(fields.get("delay") || 0)) });
    this.send(`${more.slice(0, -1)},"data":${text}}`, form);
  }

  async send(body, form) {
    try {
      const reply = await command("PUSH", body);
      this.said = html`Pushed: job <a href=${link("job", String(reply.id))}>${reply.id}</a>.`;
      this.error = null;
      form.reset();
    } catch (error) {
      this.error = error;
    }
    this.jobs.load();
    this.changed();
  }

  limit(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    const number = (name) => (fields.get(name) ? Number(fields.get(name)) : null);
    const jobs = number("jobs");
    const rule = jobs === null ? null : { jobs, per: Math.round(1000 * (number("per") ?? 1)), ...(number("burst") === null ? {} : { burst: number("burst") }) };
    this.act("LIMIT", { concurrency: number("concurrency"), rate: rule }, (reply) => {
      this.limits = reply;
      this.said = "The limits hold from now on.";
    });
  }

  template() {
    const now = this.live.now;
    return html`
      <p class="crumbs"><a href="#/queues">Queues</a> /</p>
      <h1 class="name">${this.name} ${now?.paused ? html`<span class="state paused">paused</span>` : nothing}</h1>
      ${trouble(this.error ?? this.live.error)}
      ${this.said ? banner("good", this.said) : nothing}
      ${now?.throttled_until && now.throttled_until > Date.now() ? banner("warn", `Throttled until ${moment(now.throttled_until)}.`) : nothing}
      ${may("operate") && now ? html`<div class="actions">
        <button @click=${() => this.act(now.paused ? "RESUME" : "PAUSE", {})}>${now.paused ? "Resume" : "Pause"}</button>
        <button class="danger" @click=${() => this.drain()}>Drain…</button></div>` : nothing}
      ${now ? this.tiles(now) : nothing}
      ${this.chart.element}
      ${this.browse(now)}
      ${may("produce") ? this.pushForm() : nothing}
      ${this.limits ? this.limitForm(this.limits) : nothing}`;
  }

  tiles(now) {
    const rates = this.live.rates ?? {};
    return html`<dl class="tiles">
      ${STATES.map((state) =>
        tile(state[0].toUpperCase() + state.slice(1), brief(now[FIELD[state] ?? state]), state === "ready" && now.oldest_ready_ms ? `oldest waits ${span(now.oldest_ready_ms)}` : nothing, state === "dead" && now.dead ? "bad" : ""))}
      ${tile("In", html`${rate(rates.pushed)}<small>/s</small>`, `${brief(now.pushed)} in all`)}
      ${tile("Done", html`${rate(rates.completed)}<small>/s</small>`, `${brief(now.completed)} in all`)}
      ${tile("Failed", html`${rate(rates.failed)}<small>/s</small>`, `${brief(now.failed)} in all`)}
    </dl>`;
  }

  browse(now) {
    return html`<section aria-labelledby="first-jobs">
      <h2 id="first-jobs">${can("browse") ? "Jobs in turn" : "Dead letters"}</h2>
      <nav class="tabs" aria-label="States">${SHOWN().map((state) =>
        html`<a href="${link("queue", this.name)}?state=${state}" aria-current=${state === this.state ? "page" : nothing}>${state} <span class="muted">${brief(now?.[FIELD[state] ?? state])}</span></a>`)}</nav>
      ${this.jobs.template()}
      ${can("browse") ? html`<p><a href="#/jobs?${new URLSearchParams({ queue: this.name, state: this.state })}">Search these, or do something to all of them</a></p>` : nothing}
    </section>`;
  }

  pushForm() {
    return html`<details><summary>Push a job</summary>
      <form class="fields" @submit=${(event) => this.push(event)}>
        <label class="wide">Data, as JSON <textarea name="data" rows="4" spellcheck="false" required>{}</textarea></label>
        <label>Priority <input name="priority" type="number" value="0" min="-2147483648" max="2147483647"></label>
        <label>Delay, in seconds <input name="delay" type="number" min="0" step="any" value="0"></label>
        <button class="primary">Push</button>
      </form></details>`;
  }

  limitForm(limits) {
    const bucket = limits.rate ?? {};
    return html`<details ?open=${Boolean(limits.concurrency || limits.rate)}><summary>Limits</summary>
      <form class="fields" @submit=${(event) => this.limit(event)}>
        <label>Active at once, at most <input name="concurrency" type="number" min="1" .value=${String(limits.concurrency ?? "")} placeholder="no limit"></label>
        <label>Jobs <input name="jobs" type="number" min="1" .value=${String(bucket.jobs ?? "")} placeholder="no limit"></label>
        <label>in seconds <input name="per" type="number" min="0.001" step="any" .value=${bucket.per ? String(bucket.per / 1000) : "1"}></label>
        <label>Burst <input name="burst" type="number" min="1" .value=${String(bucket.burst ?? "")} placeholder="as many"></label>
        <button class="primary">Set</button>
      </form>
      <form class="fields" @submit=${(event) => { event.preventDefault(); this.act("THROTTLE", { for: Math.round(1000 * Number(new FormData(event.target).get("for"))) }, () => { this.said = "Throttled."; }); }}>
        <label>Hand out none for, in seconds <input name="for" type="number" min="0" step="any" required></label>
        <button>Throttle</button>
      </form></details>`;
  }
}
