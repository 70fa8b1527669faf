/**
 * What turns came to over hours and days.
 */

import { h, set } from "../shared/dom.js";
import { Plot } from "./plot.js";
import { count, lasting, table } from "./telling.js";

/** @type {[string, "hour" | "day", number][]} */
const RANGES = [
  ["24 hours", "hour", 24],
  ["3 days, by hour", "hour", 72],
  ["7 days", "day", 7],
  ["30 days", "day", 30],
  ["90 days", "day", 90],
];

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
    plots.replaceChildren(...drawn(series));
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
        { name: "open", values: of((each) => each.turns.queued + each.turns.running) },
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
    ...plots.map((plot) => h("figure", {},
      h("figcaption", {}, h("h2", {}, plot.title), plot.legend()),
      plot.element,
      h("details", {}, h("summary", {}, "As a table"),
        table(plot.title, ["From", ...plot.series.map((each) => each.name)],
          names.map((/** @type {string} */ name, /** @type {number} */ at) =>
            [name, ...plot.series.map((each) => plot.tell(each.values[at]))]))))),
  ].filter((each) => each !== false);
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
