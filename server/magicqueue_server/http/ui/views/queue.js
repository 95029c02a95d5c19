// One queue: its counts and rates, its first jobs by state or its groups, its limits, and what can be done to it.

import { html, nothing } from "../vendor/lit-html.js";
import { can, command, get, may } from "../api.js";
import { Chart } from "../chart.js";
import { ago, brief, count, moment, rate, span } from "../format.js";
import { Live } from "../live.js";
import { STATES, banner, confirmed, link, tile, trouble } from "../parts.js";
import { GroupTable, anyGroup } from "./groups.js";
import { JobTable } from "./job_table.js";
import { boundsOf, fieldsOf, told } from "./limits.js";

/** The states whose jobs can be listed. */
const SHOWN = () => (can("browse") ? STATES : ["dead"]);
const FIELD = { ready: "queued", active: "processing" };
const GROUPS = "groups";

export class QueueView {
  constructor({ changed, name, query }) {
    this.name = name;
    this.title = name;
    this.changed = changed;
    this.error = null;
    this.said = null;
    this.limits = null;
    this.state = [...STATES, GROUPS].includes(query.get("state")) ? query.get("state") : SHOWN()[0];
    this.grouped = this.state === GROUPS;
    this.live = new Live(() => get(`v1/stats?${new URLSearchParams({ queue: name })}`), () => this.fresh());
    this.table = this.grouped
      ? new GroupTable({ changed, queue: name })
      : new JobTable({ changed, match: { queue: name, state: this.state }, order: this.state === "blocked" ? "id" : "turn" }); // blocked ones are in no order
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
    if (can("limits") && may("operate")) this.act("LIMIT", {}, (reply) => { this.limits = reply; });
    this.lookForGroups();
  }

  /** A queue without groups has no tab for them. */
  async lookForGroups() {
    if (this.grouped || !can("groups") || !may("read")) return;
    try {
      this.grouped = await anyGroup(this.name);
      this.changed();
    } catch (error) {
      this.error = error;
    }
  }

  stop() {
    this.live.stop();
    this.table.stop();
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
    this.table.load();
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
    this.table.load();
    this.changed();
  }

  limit(event) {
    event.preventDefault();
    this.act("LIMIT", boundsOf(event.target), (reply) => {
      this.limits = reply;
      this.said = "The limits hold from now on.";
    });
  }

  throttle(seconds) {
    this.act("THROTTLE", { for: Math.round(1000 * seconds) }, (reply) => {
      this.said = reply.throttled_until === null ? "It is throttled no more." : `No job is handed out until ${moment(reply.throttled_until)}.`;
    });
  }

  template() {
    const now = this.live.now;
    return html`
      <p class="crumbs"><a href="#/queues">Queues</a> /</p>
      <h1 class="name">${this.name} ${now?.paused ? html`<span class="state paused">paused</span>` : nothing}</h1>
      ${trouble(this.error ?? this.live.error)}
      ${this.said ? banner("good", this.said) : nothing}
      ${now?.throttled_until && now.throttled_until > Date.now() ? banner("warn", `Throttled: goes on ${ago(now.throttled_until)}, at ${moment(now.throttled_until)}.`) : nothing}
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
    const groups = this.state === GROUPS;
    const tab = (state, note) => html`<a href="${link("queue", this.name)}?state=${state}" aria-current=${state === this.state ? "page" : nothing}>${state} ${note}</a>`;
    return html`<section aria-labelledby="first-jobs">
      <h2 id="first-jobs">${groups ? "Groups, by name" : can("browse") ? "Jobs in turn" : "Dead letters"}</h2>
      <nav class="tabs" aria-label="States">
        ${SHOWN().map((state) => tab(state, html`<span class="muted">${brief(now?.[FIELD[state] ?? state])}</span>`))}
        ${this.grouped ? tab(GROUPS, nothing) : nothing}</nav>
      ${this.table.template()}
      ${can("browse") && !groups ? html`<p><a href="#/jobs?${new URLSearchParams({ queue: this.name, state: this.state })}">Search these, or do something to all of them</a></p>` : nothing}
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
    const now = told(limits);
    return html`<details ?open=${Boolean(now)}><summary>Limits${now ? html` <span class="muted">${now}</span>` : nothing}</summary>
      <form class="fields" @submit=${(event) => this.limit(event)}>
        ${fieldsOf(limits)}
        <button class="primary">Set</button>
      </form>
      <form class="fields" @submit=${(event) => { event.preventDefault(); this.throttle(Number(new FormData(event.target).get("for"))); }}>
        <label>Hand out none for, in seconds <input name="for" type="number" min="0" step="any" required></label>
        <button>Throttle</button>
        ${this.live.now?.throttled_until > Date.now() ? html`<button type="button" @click=${() => this.throttle(0)}>Let go on</button>` : nothing}
      </form></details>`;
  }
}
