// Schedules: when each runs next, and what can be done to it.

import { html, nothing } from "../vendor/lit-html.js";
import { repeat } from "../vendor/directives/repeat.js";
import { command, may } from "../api.js";
import { moment, span } from "../format.js";
import { Live } from "../live.js";
import { Pages, banner, confirmed, empty, jobLink, pager, queueLink, time, trouble } from "../parts.js";

const PAGE = 50;
const EVERY_MS = 3000;

export class Crons {
  title = "Crons";

  constructor({ changed }) {
    this.changed = changed;
    this.rows = null;
    this.error = null;
    this.said = null;
    this.pages = new Pages(() => this.load());
  }

  start() {
    this.load();
    this.timer = setInterval(() => { if (!document.hidden && !Live.stopped) this.load(); }, EVERY_MS);
  }

  stop() {
    clearInterval(this.timer);
  }

  async load() {
    try {
      const cursor = this.pages.cursor;
      const reply = await command("CRONLIST", { count: PAGE, ...(cursor === null ? {} : { after: cursor }) });
      this.rows = reply.crons;
      this.pages.following = reply.next;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  async act(cmd, name, said) {
    try {
      const reply = await command(cmd, { name });
      this.said = said(reply);
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.load();
  }

  async remove(name) {
    if (await confirmed(`Delete ${name}?`, "It does not run any more. The jobs that it pushed stay.", "Delete")) {
      this.act("CRONDELETE", name, () => `${name} is deleted.`);
    }
  }

  async set(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    let data;
    try {
      data = JSON.parse(fields.get("data"));
    } catch (error) {
      this.error = new Error(`The data is no JSON: ${error.message}`);
      this.changed();
      return;
    }
    try {
      const asked = Object.fromEntries(["schedule", "tz"].map((field) => [field, fields.get(field).trim()]));
      const reply = await command("CRON", { name: fields.get("cron"), queue: fields.get("queue"), schedule: asked.schedule, tz: asked.tz || "UTC", data });
      this.said = `${fields.get("cron")} runs next at ${reply.next_runs.map(moment).join(", ")}.`;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.load();
  }

  template() {
    return html`
      <h1>Crons</h1>
      ${trouble(this.error)}
      ${this.said ? banner("good", this.said) : nothing}
      ${this.rows === null ? (this.error ? nothing : empty("Loading…")) : this.rows.length ? this.table() : empty("No cron yet.")}
      ${this.rows && (this.pages.hasBefore || this.pages.hasNext) ? pager(this.pages, false) : nothing}
      ${may("operate") ? this.form() : nothing}`;
  }

  table() {
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of crons"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Queue</th><th scope="col">Schedule</th><th scope="col">Next run</th><th scope="col">Last</th>
        ${may("operate") ? html`<th scope="col"><span class="hidden">What can be done</span></th>` : nothing}</tr></thead>
      <tbody>${repeat(this.rows, (cron) => cron.name, (cron) => html`<tr>
        <th scope="row" class="name">${cron.name} ${cron.paused ? html`<span class="state paused">paused</span>` : nothing}</th>
        <td>${queueLink(cron.queue)}</td>
        <td><code>${cron.schedule ?? `every ${span(cron.every)}`}</code> <span class="muted">${cron.tz ?? ""}</span></td>
        <td>${cron.trouble ? html`<span class="bad">${cron.trouble}</span>` : time(cron.next_run)}</td><td>${time(cron.last_tick)}</td>
        ${may("operate") ? html`<td class="actions">
          <button aria-label="${cron.paused ? "Resume" : "Pause"} ${cron.name}" @click=${() => this.act(cron.paused ? "CRONRESUME" : "CRONPAUSE", cron.name, () => `${cron.name} is ${cron.paused ? "resumed" : "paused"}.`)}>${cron.paused ? "Resume" : "Pause"}</button>
          <button aria-label="Run ${cron.name} now" @click=${() => this.act("CRONRUN", cron.name, (reply) => html`${cron.name}: pushed job ${jobLink(reply.id)}.`)}>Run now</button>
          <button class="danger" aria-label="Delete ${cron.name}" @click=${() => this.remove(cron.name)}>Delete</button></td>` : nothing}
      </tr>`)}</tbody></table></div>`;
  }

  form() {
    return html`<details><summary>Set a cron</summary>
      <form class="fields" @submit=${(event) => this.set(event)}>
        <label>Name <input name="cron" required></label>
        <label>Queue <input name="queue" required></label>
        <label>Schedule <input name="schedule" required placeholder="30 2 * * *" spellcheck="false"></label>
        <label>Time zone <input name="tz" placeholder="UTC" spellcheck="false"></label>
        <label class="wide">Data, as JSON <textarea name="data" rows="3" spellcheck="false" required>{}</textarea></label>
        <button class="primary">Set, and show the next runs</button>
      </form></details>`;
  }
}
