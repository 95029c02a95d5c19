// What a queue's limits are, and those of each group of its jobs: fields to see and set them.

import { html } from "../vendor/lit-html.js";
import { count, span } from "../format.js";

/** Fields of a concurrency and a rate; `of` says whose, if not the queue's. */
export const fieldsOf = (bounds, of = "") => {
  const rate = bounds?.rate ?? {};
  const said = (text) => (of ? `${of}: ${text.toLowerCase()}` : text);
  return html`
    <label>${said("Active at once, at most")} <input name="concurrency" type="number" min="1" .value=${String(bounds?.concurrency ?? "")} placeholder="no limit"></label>
    <label>${said("Jobs")} <input name="jobs" type="number" min="1" .value=${String(rate.jobs ?? "")} placeholder="no limit"></label>
    <label>in seconds <input name="per" type="number" min="0.001" step="any" .value=${rate.per ? String(rate.per / 1000) : "1"}></label>
    <label>Burst <input name="burst" type="number" min="1" .value=${String(rate.burst ?? "")} placeholder="as many"></label>`;
};

/** What a form with these fields says, as LIMIT takes it. */
export function boundsOf(form) {
  const fields = new FormData(form);
  const number = (name) => (fields.get(name) ? Number(fields.get(name)) : null);
  const jobs = number("jobs");
  const burst = number("burst");
  const rate = jobs === null ? null : { jobs, per: Math.round(1000 * (number("per") ?? 1)), ...(burst === null ? {} : { burst }) };
  return { concurrency: number("concurrency"), rate };
}

/** Say bounds in a few words. */
export function told(bounds) {
  const said = [];
  if (bounds?.concurrency) said.push(`${count(bounds.concurrency)} at once`);
  if (bounds?.rate) said.push(`${count(bounds.rate.jobs)} per ${span(bounds.rate.per)}`);
  return said.join(", ");
}
