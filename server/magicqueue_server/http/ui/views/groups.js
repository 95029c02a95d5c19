// The groups of a queue, whose jobs take turns: by pages. Any of them can be made to wait.

import { html, nothing } from "../vendor/lit-html.js";
import { repeat } from "../vendor/directives/repeat.js";
import { command, may } from "../api.js";
import { ago, count } from "../format.js";
import { Live } from "../live.js";
import { Pages, banner, empty, pager, trouble } from "../parts.js";
import { boundsOf, fieldsOf, told } from "./limits.js";

const PAGE = 50;
const EVERY_MS = 5000;
const MAY_THROTTLE = () => may("operate") || may("consume");

/** Whether a queue has jobs with a group. */
export async function anyGroup(queue) {
  return (await command("GROUPS", { queue, count: 1 })).groups.length > 0;
}

export class GroupTable {
  constructor({ changed, queue }) {
    this.changed = changed;
    this.queue = queue;
    this.rows = null;
    this.limits = null;
    this.error = null;
    this.said = null;
    this.seconds = "30";
    this.asked = 0;
    this.pages = new Pages(() => this.load());
  }

  start() {
    this.load();
    this.timer = setInterval(() => { if (!document.hidden && !Live.stopped) this.load(); }, EVERY_MS);
    if (may("operate")) this.act("LIMIT", {}, (reply) => { this.limits = reply; });
  }

  stop() {
    clearInterval(this.timer);
  }

  async load() {
    const turn = ++this.asked;
    const cursor = this.pages.cursor;
    try {
      const reply = await command("GROUPS", { queue: this.queue, count: PAGE, ...(cursor === null ? {} : { after: cursor }) });
      if (turn !== this.asked) return; // the user has turned the page meanwhile
      this.rows = reply.groups;
      this.pages.following = reply.next;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  async act(cmd, fields, then) {
    try {
      then(await command(cmd, { queue: this.queue, ...fields }));
      await this.load();
    } catch (error) {
      this.error = error;
      this.changed();
    }
  }

  throttle(group, seconds) {
    this.act("THROTTLE", { group, for: Math.round(1000 * seconds) }, (reply) => {
      this.said = reply.throttled_until === null ? `${group} goes on.` : `${group} gets no turn for ${count(seconds)} s.`;
    });
  }

  limit(event) {
    event.preventDefault();
    this.act("LIMIT", { group: boundsOf(event.target) }, (reply) => {
      this.limits = reply;
      this.said = "The limits of each group hold from now on.";
    });
  }

  template() {
    return html`
      ${trouble(this.error)}
      ${this.said ? banner("good", this.said) : nothing}
      ${this.rows === null ? (this.error ? nothing : empty("Loading…")) : this.rows.length ? this.table() : empty("No job here has a group.")}
      ${this.rows && (this.pages.hasBefore || this.pages.hasNext) ? pager(this.pages, false) : nothing}
      ${this.limits ? this.limitForm(this.limits.group) : nothing}`;
  }

  table() {
    return html`
      ${MAY_THROTTLE() ? html`<div class="bar"><label>Throttle for, in seconds
        <input type="number" min="1" step="any" .value=${this.seconds} @input=${(event) => { this.seconds = event.target.value; }}></label></div>` : nothing}
      <div class="scroll" tabindex="0" role="region" aria-label="Table of groups"><table>
        <thead><tr><th scope="col">Group</th><th scope="col" class="n">Queued</th><th scope="col" class="n">Processing</th><th scope="col">Throttled</th>
          ${MAY_THROTTLE() ? html`<th scope="col"><span class="hidden">What can be done</span></th>` : nothing}</tr></thead>
        <tbody>${repeat(this.rows, (group) => group.name, (group) => this.row(group))}</tbody>
      </table></div>`;
  }

  row(group) {
    const until = group.throttled_until;
    const shut = until !== undefined && until > Date.now();
    return html`<tr>
      <th scope="row" class="name">${group.name}</th>
      <td class="n">${count(group.queued)}</td><td class="n">${count(group.processing)}</td>
      <td>${shut ? html`<span class="state paused">ends ${ago(until)}</span>` : html`<span class="muted">–</span>`}</td>
      ${MAY_THROTTLE() ? html`<td class="actions">${shut
        ? html`<button aria-label="Let ${group.name} go on" @click=${() => this.throttle(group.name, 0)}>Let go on</button>`
        : html`<button aria-label="Throttle ${group.name}" ?disabled=${!(Number(this.seconds) > 0)} @click=${() => this.throttle(group.name, Number(this.seconds))}>Throttle</button>`}</td>` : nothing}
    </tr>`;
  }

  limitForm(bounds) {
    const now = told(bounds);
    return html`<details ?open=${Boolean(now)}><summary>Limits of each group${now ? html` <span class="muted">${now}</span>` : nothing}</summary>
      <form class="fields" @submit=${(event) => this.limit(event)}>
        ${fieldsOf(bounds, "Each group")}
        <button class="primary">Set for each group</button>
      </form></details>`;
  }
}
