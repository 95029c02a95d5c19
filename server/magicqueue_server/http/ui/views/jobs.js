// Jobs of any queue and state, with a search through their data.

import { html } from "../vendor/lit-html.js";
import { STATES } from "../parts.js";
import { JobTable } from "./job_table.js";

export class Jobs {
  constructor({ changed, query }) {
    this.queue = query.get("queue") ?? "";
    this.state = STATES.includes(query.get("state")) ? query.get("state") : "";
    this.contains = query.get("contains") ?? "";
    this.title = this.state === "dead" ? "Dead letters" : "Jobs";
    const match = {};
    if (this.queue) match.queue = this.queue;
    if (this.state) match.state = this.state;
    if (this.contains) match.contains = this.contains;
    this.table = new JobTable({ changed, match, whole: true });
  }

  start() { this.table.start(); }
  stop() { this.table.stop(); }

  search(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    const query = new URLSearchParams();
    // no field is named as a method of its form is, which it would hide: contains, for one
    for (const [name, field] of [["queue", "queue"], ["state", "state"], ["contains", "text"]]) {
      if (fields.get(field)) query.set(name, fields.get(field));
    }
    location.hash = `#/jobs?${query}`;
  }

  template() {
    return html`
      <h1>${this.title}</h1>
      <form class="bar" @submit=${(event) => this.search(event)}>
        <label>Queue <input name="queue" .value=${this.queue} placeholder="all" autocomplete="off" spellcheck="false"></label>
        <label>State <select name="state">
          <option value="" ?selected=${!this.state}>all</option>
          ${STATES.map((state) => html`<option ?selected=${state === this.state}>${state}</option>`)}
        </select></label>
        <label class="grows">Data contains <input name="text" type="search" .value=${this.contains} placeholder="any text of it, exactly" autocomplete="off" spellcheck="false"></label>
        <button class="primary">Look</button>
      </form>
      ${this.table.template()}`;
  }
}
