/**
 * Markdown of an agent's, as nodes that can do nothing but be read.
 *
 * HTML in it is shown as the text that it is. What is left is sanitised all the same, and comes as
 * nodes: the page parses no markup elsewhere. Images would tell their server who reads, so they are
 * links.
 */

import { Marked } from "../vendor/marked.esm.js";
import "../vendor/purify.min.js";

const purify = /** @type {any} */ (globalThis).DOMPurify;

const TAGS = [
  "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "input", "li", "ol", "p",
  "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const ATTRIBUTES = ["href", "title", "start", "align", "type", "checked", "disabled"];
const ADDRESS = /^(?:https?:|mailto:)/i;

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html({ text }) {
      return escaped(text);
    },
    image({ href, text }) {
      return `<a href="${escaped(href)}">${escaped(text || href)}</a>`;
    },
    heading({ tokens, depth }) {
      // The page's own headings stand above those of a message.
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
  },
});

purify.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
    if (!leads(node.getAttribute("href") ?? "")) node.removeAttribute("href");
  }
  // What may be wider than the page is scrolled, with keys too.
  if (node.tagName === "PRE" || node.tagName === "TABLE") node.setAttribute("tabindex", "0");
  if (node.tagName === "INPUT") node.setAttribute("aria-label", "done");
  if (/^(?:P|LI|H[3-6]|BLOCKQUOTE|TABLE)$/.test(node.tagName)) node.setAttribute("dir", "auto");
});

/**
 * Return what a text says, to be put into the page.
 *
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function markdown(text) {
  return purify.sanitize(marked.parse(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: ADDRESS,
    RETURN_DOM_FRAGMENT: true,
  });
}

/**
 * Whether an address leads out of the page by itself.
 *
 * @param {string} address
 */
function leads(address) {
  return ADDRESS.test(address) && URL.canParse(address);
}

/** @param {string} text */
function escaped(text) {
  return text
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;")
    .replace(/'/g, "&#39;");
}
