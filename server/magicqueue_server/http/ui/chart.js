// Lines of rates over the last minutes, drawn by uPlot in the colours of the theme.

/* global uPlot */

import { moment } from "./format.js";

const HEIGHT = 190;
const WINDOW_S = 300;
const LEAST_S = 60;
const STEPS_S = [1, 5, 10, 30, 60, 120];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Write the time of day of a moment, in the zone that the user chose. */
function clock(second) {
  return moment(Math.round(second) * 1000).slice(11);
}

/** What a legend says while nobody points at the chart. */
function newest(plot, row) {
  return plot.data[row].at(-1);
}

/** Make an element that holds a chart; `set` gives it columns, `end` frees it. */
export class Chart {
  constructor(series, write) {
    this.series = series;
    this.write = write;
    this.element = document.createElement("div");
    this.element.className = "chart";
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", `Chart: ${series.map((one) => one.label).join(", ")} over time`);
    this.plot = null;
    this.columns = null;
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.element);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.again = () => this.draw();
    this.dark.addEventListener("change", this.again);
    document.addEventListener("themechange", this.again);
  }

  set(columns) {
    this.columns = columns;
    if (this.plot) this.plot.setData(columns);
    else this.draw();
  }

  fit() {
    const width = this.element.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    else if (!this.plot) this.draw();
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width || !this.columns || typeof uPlot === "undefined") return;
    this.plot?.destroy();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width,
        height: HEIGHT,
        cursor: { y: false, points: { size: 6 } },
        legend: { live: true },
        scales: { x: { range: (_, first, last) => [last - Math.min(WINDOW_S, Math.max(LEAST_S, last - first)), last] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [
          { ...axis, space: 90, size: 34, incrs: STEPS_S, values: (_, seconds) => seconds.map(clock) },
          { ...axis, size: 56, values: (_, values) => values.map((value) => this.write(value)) },
        ],
        series: [
          { label: "at", value: (plot, second) => clock(second ?? newest(plot, 0)) },
          ...this.series.map((one) => ({
            label: one.label,
            stroke: colour(one.colour),
            width: 2,
            points: { show: false },
            value: (plot, value, row) => this.write(value ?? newest(plot, row)),
          })),
        ],
      },
      this.columns,
      this.element,
    );
  }

  end() {
    this.watch.disconnect();
    this.dark.removeEventListener("change", this.again);
    document.removeEventListener("themechange", this.again);
    this.plot?.destroy();
    this.plot = null;
  }
}
