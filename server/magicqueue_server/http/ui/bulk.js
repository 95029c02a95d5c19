// All that match: the server does up to a thousand a request, so it is asked again until
// it has nothing more; first only to count, so that whoever asks sees what it means.

import { command } from "./api.js";
import { count } from "./format.js";
import { confirmed } from "./parts.js";

export const WORDS = { cancel: "Cancel", promote: "Promote", retry: "Retry", purge: "Purge" };
const MANY = 100000;

async function all(fields, told, enough = Infinity) {
  let done = 0;
  let scanned = 0;
  let after = null;
  do {
    const reply = await command("BULK", after === null ? fields : { ...fields, after });
    done += reply.done;
    scanned += reply.scanned;
    after = reply.next;
    told({ done, scanned });
  } while (after !== null && done < enough);
  return { done, scanned, more: after !== null };
}

/** Do something to all jobs that match; gives a sentence, or null if the user would not. */
export async function bulk(what, match, told) {
  const fields = { do: what, ...match };
  const found = await all({ ...fields, dry: true }, (so) => told(`Counting: ${count(so.done)} of ${count(so.scanned)} looked at`), MANY);
  if (!found.done) return "No job matches.";
  const number = `${found.more ? "more than " : ""}${count(found.done)}`;
  const word = what === "purge" || what === "cancel" ? (match.queue ?? "everything") : null;
  const going = await confirmed(
    `${WORDS[what]} ${number} jobs?`,
    what === "purge" || what === "cancel" ? "They are gone for good: this cannot be undone." : "It is done to all that match, a thousand at a time.",
    `${WORDS[what]} ${number}`,
    word,
  );
  if (!going) return null;
  const did = await all(fields, (so) => told(`${WORDS[what]}: ${count(so.done)} of ${number}`));
  return `${WORDS[what]}: ${count(did.done)} jobs.`;
}
