/**
 * Server-sent events of a response's body. `EventSource` would do, if it could send a token.
 */

/**
 * @typedef {object} Frame
 * @property {string} data What the event holds; empty for a comment.
 * @property {number | null} retry Milliseconds after which to come back, where that was said.
 */

/**
 * Give what a stream holds: a frame for each event, and one without data for each comment.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<Frame, void, void>}
 */
export async function* frames(body) {
  const text = /** @type {ReadableWritablePair<string, any>} */ (new TextDecoderStream());
  const reader = body.pipeThrough(text).getReader();
  let rest = "";
  /** @type {string[]} */
  let data = [];
  /** @type {number | null} */
  let retry = null;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return; // an event without its empty line is not whole
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length || retry !== null) yield { data: data.join("\n"), retry };
          [data, retry] = [[], null];
        } else if (line.startsWith(":")) {
          yield { data: "", retry: null };
        } else {
          const [, name, said] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? ["", "", ""];
          if (name === "data") data.push(said ?? "");
          if (name === "retry" && /^\d+$/.test(said ?? "")) retry = Number(said);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined); // it may have broken already
  }
}
