// What changes by itself: counts of the server or of one queue, once a second, and their
// rates. A hidden tab asks for nothing, and neither does one whose user stopped it.

const EVERY_MS = 1000;
const KEPT = 300;
const RATES = ["pushed", "completed", "failed"];

/** Keeps the last minutes of one row of counts. */
export class Live {
  constructor(ask, changed) {
    this.ask = ask;
    this.changed = changed;
    this.now = null;
    this.rates = null;
    this.columns = [[], ...RATES.map(() => [])];
    this.error = null;
    this.timer = 0;
    this.last = null;
  }

  start() {
    this.going = true;
    this.turn();
    return this;
  }

  stop() {
    this.going = false;
    clearTimeout(this.timer);
  }

  async turn() {
    const began = performance.now();
    if (!document.hidden && !Live.stopped) {
      try {
        this.take(await this.ask());
        this.error = null;
      } catch (error) {
        this.error = error;
        this.last = null;
      }
      if (!this.going) return;
      this.changed();
    } else {
      this.last = null;
    }
    const took = performance.now() - began;
    this.timer = setTimeout(() => this.turn(), Math.max(100, EVERY_MS - took));
  }

  take(counts) {
    const at = performance.now() / 1000;
    this.now = counts;
    if (this.last) {
      const passed = at - this.last.at;
      // a server that was started anew counts from 0
      const values = RATES.map((name) => Math.max(0, counts[name] - this.last.counts[name]) / passed);
      this.rates = Object.fromEntries(RATES.map((name, index) => [name, values[index]]));
      this.columns[0].push(Date.now() / 1000);
      values.forEach((value, index) => this.columns[index + 1].push(value));
      if (this.columns[0].length > KEPT) this.columns.forEach((column) => column.shift());
    }
    this.last = { at, counts };
  }
}

Live.stopped = false;
