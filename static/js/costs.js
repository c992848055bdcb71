// Draws the charts of the admin's cost page; the page's tables say the same.

import uPlot from "../vendor/uplot/uPlot.esm.js";

const HEIGHT = 240;

const dollars = (value) => `$${value.toLocaleString("en", { maximumFractionDigits: value < 1 ? 6 : 2 })}`;
const share = (value) => `${(100 * value).toLocaleString("en", { maximumFractionDigits: 1 })}%`;
const milliseconds = (value) => `${value.toLocaleString("en")} ms`;
const FORMATS = { spend: dollars, rates: share, firstToken: milliseconds };

// Read at each drawing: the theme may have changed.
const colour = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

function options(element, lines, format) {
  const say = (_, value) => (value == null ? "–" : format(value));
  const axis = {
    stroke: () => colour(element, "--soft"),
    grid: { stroke: () => colour(element, "--line"), width: 1 },
    ticks: { stroke: () => colour(element, "--line"), width: 1 },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    // Days are the finest there is, and from nothing upwards is how they compare.
    scales: { y: { range: (_, __, most) => [0, (most || 1) * 1.05] } },
    axes: [
      { ...axis, space: 70, incrs: [1, 2, 3, 7, 14, 30, 60, 90].map((days) => days * 86_400),
        values: (_, splits) => splits.map((one) => new Date(one * 1000).toISOString().slice(5, 10)) },
      { ...axis, size: 76, values: (_, splits) => splits.map(format) },
    ],
    series: [
      { label: "Day", value: (_, at) => (at == null ? "–" : new Date(at * 1000).toISOString().slice(0, 10)) },
      ...lines.map(({ label }, number) => ({
        label,
        value: say,
        width: number ? 1.5 : 2,
        stroke: () => colour(element, `--line-${number}`),
        points: { size: 5 },
      })),
    ],
  };
}

function draw(element, { times, ...charts }) {
  const lines = charts[element.dataset.chart];
  const data = [times, ...lines.map(({ values }) => values)];
  const chart = new uPlot(options(element, lines, FORMATS[element.dataset.chart]), data, element);
  new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT })).observe(element);
  new MutationObserver(() => chart.redraw(false)).observe(document.documentElement, { attributeFilter: ["class"] });
}

const given = document.getElementById("chart-lines");
if (given) {
  const lines = JSON.parse(given.textContent);
  for (const element of document.querySelectorAll("[data-chart]")) draw(element, lines);
}
