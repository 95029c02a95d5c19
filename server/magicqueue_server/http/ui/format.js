// How numbers, sizes, spans and moments are written for people.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

let zone = read("zone", "local");

function read(name, otherwise) {
  try {
    return localStorage.getItem(`magicqueue.${name}`) ?? otherwise;
  } catch {
    return otherwise; // a browser that keeps nothing
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`magicqueue.${name}`, value);
  } catch {
    // it is forgotten with the page
  }
}

export const kept = read;

export function zoneName() {
  return zone === "utc" ? "UTC" : "local time";
}

export function changeZone() {
  zone = zone === "utc" ? "local" : "utc";
  keep("zone", zone);
}

export function count(n) {
  return n === null || n === undefined ? "–" : whole.format(n);
}

/** Write a number so that it fits a tile: 1,234 or 12.3K. */
export function brief(n) {
  return n === null || n === undefined ? "–" : n < 100000 ? whole.format(n) : short.format(n);
}

export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  if (perSecond === 0) return "0";
  return perSecond < 10 ? perSecond.toFixed(1) : brief(Math.round(perSecond));
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let left = bytes;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return `${at && left < 100 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

/** Write how long something takes, by its two largest units. */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.floor(ms / 1000);
  const said = [];
  for (const [unit, seconds] of parts) {
    const n = Math.floor(left / seconds);
    if (n || said.length) said.push(n ? `${n} ${unit}` : "");
    left -= n * seconds;
    if (said.length === 2) break;
  }
  return said.filter(Boolean).join(" ");
}

/** Write a moment as date and time, in the zone that the user chose. */
export function moment(ms) {
  if (ms === null || ms === undefined) return "–";
  const when = new Date(ms);
  if (Number.isNaN(when.getTime())) return String(ms);
  if (zone === "utc") return `${when.toISOString().slice(0, 19).replace("T", " ")}Z`;
  const two = (n) => String(n).padStart(2, "0");
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return `${day} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

/** Write how far a moment is from now. */
export function ago(ms, now = Date.now()) {
  if (ms === null || ms === undefined) return "–";
  const away = ms - now;
  if (Math.abs(away) < 1000) return "now";
  return away < 0 ? `${span(-away)} ago` : `in ${span(away)}`;
}

/** Write a job's data on one line, cut. */
export function oneLine(value, most = 120) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text === undefined) return "";
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
