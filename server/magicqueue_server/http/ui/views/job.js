// One job: what is known of it, what befell it, and what can be done to it.

import { html, nothing } from "../vendor/lit-html.js";
import { get, may } from "../api.js";
import { WORDS } from "../bulk.js";
import { count, moment, size, span } from "../format.js";
import { Live } from "../live.js";
import { banner, confirmed, jobLink, link, queueLink, state, time, trouble } from "../parts.js";
import { ACTIONS, deal, progress } from "./job_table.js";

const EVERY_MS = 2000;
const JOBS_SHOWN = 20;

/** Links to jobs that one depends on, or that wait for it. */
const jobs = (ids, note) =>
  ids?.length
    ? html`${ids.slice(0, JOBS_SHOWN).map((id) => html`${jobLink(id)} `)}${ids.length > JOBS_SHOWN ? "… " : nothing}<span class="muted">${note}</span>`
    : undefined;

export class JobView {
  constructor({ changed, name }) {
    this.id = name;
    this.title = `Job ${name}`;
    this.changed = changed;
    this.job = null;
    this.error = null;
    this.said = null;
  }

  start() {
    this.going = true;
    this.load();
    this.timer = setInterval(() => { if (!document.hidden && !Live.stopped) this.load(); }, EVERY_MS);
  }

  stop() {
    this.going = false;
    clearInterval(this.timer);
  }

  async load() {
    try {
      const reply = await get(`v1/jobs/${encodeURIComponent(this.id)}`);
      this.job = reply.job;
      this.error = null;
    } catch (error) {
      this.error = error;
      if (error.code === "NOT_FOUND" && this.job) {
        this.said = "It is settled, and nothing is kept of it: below is what was last seen.";
        this.error = null;
        this.stop();
      }
    }
    if (this.going || this.said) this.changed();
  }

  async act(what) {
    if (what !== "retry" && what !== "promote" && !(await confirmed(`${WORDS[what]} job ${this.id}?`, "This cannot be undone.", WORDS[what]))) return;
    try {
      await deal(what, [Number(this.id)]);
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.load();
  }

  template() {
    const job = this.job;
    return html`
      <p class="crumbs">${job?.queue ? html`<a href="#/queues">Queues</a> / ${queueLink(job.queue)} /` : html`<a href="#/jobs">Jobs</a> /`}</p>
      <h1>Job ${this.id} ${job ? state(job.state) : nothing}</h1>
      ${trouble(this.error)}
      ${this.said ? banner("warn", this.said) : nothing}
      ${job ? this.details(job) : nothing}`;
  }

  details(job) {
    const actions = may("operate") ? ACTIONS[job.state] ?? [] : [];
    return html`
      ${actions.length && !this.said ? html`<div class="actions">${actions.map((what) => html`<button class=${what === "purge" || what === "cancel" ? "danger" : "primary"} @click=${() => this.act(what)}>${WORDS[what]}</button>`)}</div>` : nothing}
      <section aria-labelledby="time-line"><h2 id="time-line">Time line</h2><ol class="time-line">${this.line(job)}</ol></section>
      ${job.error ? html`<section aria-labelledby="error"><h2 id="error">Last error</h2><pre class="error" tabindex="0">${job.error}</pre></section>` : nothing}
      ${job.data === undefined ? nothing : html`<section aria-labelledby="data"><h2 id="data">Data</h2><pre tabindex="0">${JSON.stringify(job.data, null, 2)}</pre></section>`}
      ${job.result === undefined || job.result === null ? nothing : html`<section aria-labelledby="result"><h2 id="result">Result</h2><pre tabindex="0">${JSON.stringify(job.result, null, 2)}</pre></section>`}
      <section aria-labelledby="facts"><h2 id="facts">Facts</h2><dl class="facts">${this.facts(job)}</dl></section>`;
  }

  line(job) {
    const steps = [];
    const step = (at, text, kind = "") => steps.push({ at, text, kind });
    if (job.created_at !== undefined) step(job.created_at, "pushed");
    if (job.run_at !== undefined && job.run_at > job.created_at) step(job.run_at, job.state === "delayed" ? "will be ready" : "ready");
    if (job.state === "active") step(job.lease_until, `lease of attempt ${job.attempts} ends, unless it is extended`, "active");
    if (job.attempt_until) step(job.attempt_until, "this attempt will have timed out");
    if (job.expires_at) step(job.expires_at, "expires, if it is not done by then");
    if (job.died_at) step(job.died_at, `died: ${job.reason}`, "dead");
    if (job.finished_at) step(job.finished_at, job.state, job.state);
    steps.sort((one, other) => one.at - other.at);
    return steps.map((one) => html`<li class=${one.kind}><span>${one.text}</span> ${time(one.at)} <span class="muted">${moment(one.at)}</span></li>`);
  }

  facts(job) {
    const told = [
      ["Queue", job.queue && queueLink(job.queue)],
      ["Priority", job.priority],
      ["Attempts", job.attempts],
      ["Failures", job.failures === undefined ? undefined : html`${count(job.failures)} of at most ${job.max_attempts === 0 ? "any number" : count(job.max_attempts)}`],
      ["Lost", job.lost],
      ["Progress", job.progress || job.cancelled ? progress(job) : undefined],
      ["Group", job.group && html`<a class="name" href="${link("queue", job.queue)}?state=groups">${job.group}</a>`],
      ["Cron", job.cron && html`<a href="#/crons">${job.cron.name}</a>, of ${moment(job.cron.tick)}`],
      ["Depends on", jobs(job.parents, job.waits_for ? `waits for ${count(job.waits_for)}` : "all settled")],
      ["Wait for it", jobs(job.children, "")],
      ["Unique key", job.unique_key && html`<code>${job.unique_key}</code>`],
      ["Time limit", job.timeout && span(job.timeout)],
      ["Result kept for", job.keep_result && span(job.keep_result)],
      ["Data", job.data === undefined ? undefined : size(new Blob([JSON.stringify(job.data)]).size)],
    ];
    return told.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  }
}
