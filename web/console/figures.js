/**
 * What turns came to over hours and days.
 */

import { h, set } from "../shared/dom.js";
import { Plot } from "./plot.js";
import { count, lasting, money, table } from "./telling.js";

/** @type {[string, "hour" | "day", number][]} */
const RANGES = [
  ["24 hours", "hour", 24],
  ["3 days, by hour", "hour", 72],
  ["7 days", "day", 7],
  ["30 days", "day", 30],
  ["90 days", "day", 90],
];

/** @typedef {import("../shared/dom.js").Child} Child */

const DAY = 86_400_000;

/** @param {import("./page.js").Stage} stage */
export async function showFigures({ api, place, signal }) {
  const plots = h("div", { class: "plots" });
  const choice = h("select", { id: "range", onchange: () => show().catch(failed) },
    RANGES.map(([name], at) => h("option", { value: at }, name)));
  const fault = h("p", { class: "fault", role: "alert" });
  const failed = (/** @type {Error} */ error) => signal.aborted || (fault.textContent = error.message);
  const show = async () => {
    fault.textContent = "";
    const [, by, last] = /** @type {[string, string, number]} */ (RANGES[Number(choice.value)]);
    set(plots, "aria-busy", "true");
    const series = await api.json("GET", "admin/stats/turns", { query: { by, last }, signal });
    const days = { from: dayOf(series.items[0]), to: dayOf(series.items.at(-1)) };
    const spent = await api.json("GET", "admin/usage", { query: { ...days, group_by: "day" }, signal });
    plots.replaceChildren(...drawn(series), ...drawnCost(spent));
    set(plots, "aria-busy", null);
  };
  place.append(
    h("p", { class: "choice" }, h("label", { for: "range" }, "Over the last"), choice,
      h("span", { class: "quiet" }, "Hours and days are those of UTC.")),
    fault, plots);
  await show();
}

/** @param {any} series */
function drawn({ by, items }) {
  const starts = items.map((/** @type {any} */ each) => each.start);
  const names = starts.map((/** @type {string} */ start) => nameOf(start, by));
  const of = (/** @type {(span: any) => number | null} */ pick) => items.map(pick);
  const plots = [
    new Plot({
      title: "Turns by outcome", names, told: count, kind: "bars",
      series: [
        { name: "completed", values: of((each) => each.turns.completed) },
        { name: "failed", values: of((each) => each.turns.failed) },
        { name: "cancelled", values: of((each) => each.turns.cancelled) },
        { name: "open", values: of((each) => each.turns.queued + each.turns.running + each.turns.waiting) },
      ],
    }),
    new Plot({
      title: "Time to a reply", names, told: (value) => lasting(1000 * value), kind: "lines",
      series: [
        { name: "median", values: of((each) => each.median_seconds) },
        { name: "95 of 100 within", values: of((each) => each.p95_seconds) },
      ],
    }),
    new Plot({
      title: "Tokens", names, told: count, kind: "bars",
      series: [
        { name: "sent", values: of((each) => each.input_tokens) },
        { name: "received", values: of((each) => each.output_tokens) },
      ],
    }),
  ];
  const estimated = items.some((/** @type {any} */ each) => each.estimated);
  return [
    estimated && h("p", { class: "quiet" }, "Where there were very many turns, the newest stand for all."),
    ...plots.map((plot) => figure(plot)),
  ].filter((each) => each !== false);
}

/**
 * Return what the turns cost that ended on some days: of the range, whole days, as usage is summed.
 *
 * @param {any} report
 */
function drawnCost({ first_day: first, last_day: last, items, total }) {
  const costs = new Map(items.map((/** @type {any} */ each) => [each.name, each.usage.cost_usd]));
  const days = [];
  for (let day = first; day <= last; day = dayOf({ start: Date.parse(day) + DAY })) days.push(day);
  const valueOf = (/** @type {string} */ day) => {
    const cost = costs.has(day) ? costs.get(day) : 0;
    return cost === null ? null : Number(cost);
  };
  const plot = new Plot({
    title: "Cost by day", names: days.map((day) => nameOf(day, "day")), told: money, kind: "bars",
    series: [{ name: "US dollars", values: days.map(valueOf) }],
  });
  const unknown = total.calls_without_cost;
  return [figure(plot,
    unknown > 0 && h("p", { class: "quiet" }, `Without ${count(unknown)} calls whose price is not known.`))];
}

/**
 * @param {Plot} plot
 * @param {...(Child)} said
 */
function figure(plot, ...said) {
  return h("figure", {},
    h("figcaption", {}, h("h2", {}, plot.title), plot.legend()),
    plot.element,
    ...said,
    h("details", {}, h("summary", {}, "As a table"),
      table(plot.title, ["From", ...plot.series.map((each) => each.name)],
        plot.names.map((name, at) => [name, ...plot.series.map((each) => plot.tell(each.values[at]))]))));
}

/** @param {{start: string | number}} span */
function dayOf({ start }) {
  return new Date(start).toISOString().slice(0, 10);
}

/**
 * @param {string} start
 * @param {"hour" | "day"} by
 */
function nameOf(start, by) {
  const hour = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit" });
  const shown = by === "hour" ? { day: "numeric", month: "short", ...hour } : { day: "numeric", month: "short" };
  return new Date(start).toLocaleString(undefined, { ...shown, timeZone: "UTC", hourCycle: "h23" });
}
