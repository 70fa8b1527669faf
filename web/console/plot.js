/**
 * A plot over time, as SVG that this page draws itself: bars upon each other, or lines.
 *
 * Who does not see it has the same numbers in a table; what a place holds is told where one points.
 */

import { h } from "../shared/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const ROOM = { left: 56, right: 8, top: 10, bottom: 24 };

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {(number | null)[]} values One for each place.
 */

/**
 * @typedef {object} Plotted
 * @property {string} title
 * @property {string[]} names What the places are called.
 * @property {Series[]} series
 * @property {(value: number) => string} told How a value is told.
 * @property {"bars" | "lines"} kind
 */

export class Plot {
  /** @param {Plotted} plotted */
  constructor({ title, names, series, told, kind }) {
    this.title = title;
    this.names = names;
    this.series = series;
    this.told = told;
    this.kind = kind;
    this.element = h("div", { class: "plot" });
    this.width = 0;
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  legend() {
    return h("ul", { class: "legend" },
      this.series.map((each, at) => h("li", {}, svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" },
        svg("rect", { width: 12, height: 12, rx: 2, class: this.#classOf(each, at) })), each.name)));
  }

  /** @param {number | null | undefined} value */
  tell(value) {
    return value === null || value === undefined ? "–" : this.told(value);
  }

  #draw() {
    const width = Math.floor(this.element.clientWidth);
    if (width === 0 || width === this.width) return;
    this.width = width;
    const top = niceAbove(this.#highest());
    const y = (/** @type {number} */ value) =>
      ROOM.top + (HEIGHT - ROOM.top - ROOM.bottom) * (1 - value / top);
    const step = (width - ROOM.left - ROOM.right) / this.names.length;
    const drawing = { y, step, x: (/** @type {number} */ place) => ROOM.left + step * place };
    this.element.replaceChildren(
      svg("svg", { width, height: HEIGHT, role: "img", "aria-label": this.#summary() },
        this.#scale(width, top, y),
        this.kind === "bars" ? this.#bars(drawing) : this.#lines(drawing),
        this.#places(drawing)));
  }

  #highest() {
    const sums = this.names.map((_, place) => {
      const values = this.series.map((each) => each.values[place] ?? 0);
      return this.kind === "bars" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
    });
    return Math.max(0, ...sums);
  }

  #summary() {
    const all = this.series.map((each) => {
      const values = each.values.filter((value) => value !== null);
      if (values.length === 0) return `${each.name}: none`;
      const sum = values.reduce((total, value) => total + value, 0);
      return this.kind === "bars"
        ? `${each.name}: ${this.told(sum)} in all`
        : `${each.name}: at most ${this.told(Math.max(...values))}`;
    });
    return `${this.title}. ${all.join("; ")}.`;
  }

  /**
   * @param {number} width
   * @param {number} top
   * @param {(value: number) => number} y
   */
  #scale(width, top, y) {
    return [0, 0.5, 1].map((part) => svg("g", {},
      svg("line", { class: "grid", x1: ROOM.left, x2: width - ROOM.right, y1: y(top * part), y2: y(top * part) }),
      svg("text", { class: "scale", x: ROOM.left - 6, y: y(top * part) + 4, "text-anchor": "end" },
        this.told(top * part))));
  }

  /** @param {{x: (place: number) => number, y: (value: number) => number, step: number}} drawing */
  #bars({ x, y, step }) {
    const gap = Math.min(4, step / 5);
    return this.names.map((_, place) => {
      let below = 0;
      return svg("g", {}, this.series.map((each, at) => {
        const value = each.values[place] ?? 0;
        if (value === 0) return null;
        const [from, to] = [y(below), y((below += value))];
        return svg("rect", {
          class: this.#classOf(each, at), x: x(place) + gap / 2, width: Math.max(1, step - gap),
          y: to, height: Math.max(0.5, from - to),
        });
      }));
    });
  }

  /** @param {{x: (place: number) => number, y: (value: number) => number, step: number}} drawing */
  #lines({ x, y, step }) {
    return this.series.map((each, at) => {
      let path = "";
      const dots = each.values.map((value, place) => {
        if (value === null) return null;
        const [cx, cy] = [x(place) + step / 2, y(value)];
        const goesOn = place > 0 && each.values[place - 1] !== null;
        path += `${goesOn ? "L" : "M"}${cx.toFixed(1)} ${cy.toFixed(1)}`;
        return svg("circle", { class: this.#classOf(each, at), cx, cy, r: 2.5 });
      });
      return svg("g", {}, svg("path", { class: `line ${this.#classOf(each, at)}`, d: path }), dots);
    });
  }

  /** @param {{x: (place: number) => number, step: number}} drawing */
  #places({ x, step }) {
    const each = Math.ceil(74 / step); // so that names do not touch
    return this.names.map((name, place) => {
      const told = this.series.map((one) => `${one.name}: ${this.tell(one.values[place])}`).join("\n");
      return svg("g", { class: "place" },
        svg("rect", { x: x(place), y: ROOM.top, width: step, height: HEIGHT - ROOM.top - ROOM.bottom },
          svg("title", {}, `${name}\n${told}`)),
        place % each === 0 && place + each / 2 < this.names.length
          ? svg("text", { class: "scale", x: x(place), y: HEIGHT - 6 }, name)
          : null);
    });
  }

  /**
   * @param {Series} series
   * @param {number} at
   */
  #classOf(series, at) {
    return `series-${at} of-${series.name.split(" ", 1)[0]}`;
  }
}

/**
 * Make an element of SVG.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...any} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  if (tag === "svg") element.setAttribute("class", "drawn");
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children.flat(2).filter((child) => child !== null));
  return /** @type {SVGElement} */ (element);
}

/**
 * Return a round number that is not below another.
 *
 * @param {number} value
 */
function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const round of [1, 2, 4, 5, 10]) if (round * power >= value) return round * power;
  return value;
}
