"""How soon the chat page shows the first text: from the model's first delta to what is on the page.

    make bench-page TURNS=30

`make dev` runs with its own start command, beside a model's server that speaks at a given pace, and
the page in headless Chromium. Each turn is a message that is typed and sent. The model's server
tells when its first delta goes out, and the page when the first text of the reply is in the
document, both by the machine's clock. All of it is on one machine, with no network between.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.stream_setup import BENCH, Child
from playwright.sync_api import Page, expect

from parley_local.stack import LocalStack
from parley_testing.pages.browser import HANG_MILLISECONDS, Visit, say, sign_in, started, turns

WARM_UP = 5

# Told as soon as the document changes, before the browser has painted it.
_WATCH = """
window.firstText = () => new Promise((resolve) => {
  const before = document.querySelectorAll(".answer .prose").length;
  const watcher = new MutationObserver(() => {
    const pieces = document.querySelectorAll(".answer .prose");
    if (pieces.length > before && pieces[pieces.length - 1].textContent.trim() !== "") {
      watcher.disconnect();
      resolve(performance.timeOrigin + performance.now());
    }
  });
  watcher.observe(document.body, { childList: true, subtree: true, characterData: true });
});
"""


def first_texts(page: Page, model: Child, number: int) -> list[float]:
    """Return the milliseconds from the model's first delta to the first text, of each turn."""
    took = []
    for at in range(WARM_UP + number):  # the first are the processes' cold start
        page.evaluate("window.seen = window.firstText(); undefined")
        told = len(model.lines)
        say(page, json.dumps({"words": 3, "rate": 20, "letters": 5, "turn": at}))
        shown = page.evaluate("window.seen") / 1000
        expect(turns(page)).to_have_count(at + 1)
        expect(turns(page).last).not_to_contain_text("Working…")
        # The server tells on the monotonic clock, the page of the time since 1970.
        said = model.lines[told]["at"] + (time.time() - time.monotonic())
        if at >= WARM_UP:
            took.append((shown - said) * 1000)
    return took


def measure(number: int) -> dict[str, object]:
    """Measure."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = Child(stack, str(BENCH / "paced_model.py"))
        env = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.first, "OPENAI_MODEL": "paced"}
        served = stack.enter_context(LocalStack(place / "data", env=env))
        browser = stack.enter_context(started())
        visit = Visit(browser, served.url)
        page = visit.tab()
        page.add_init_script(_WATCH)
        sign_in(page, "bench")
        took = sorted(first_texts(page, model, number))
        visit.close()
    return {
        "turns": number,
        "the model's first delta to the text on the page, ms (median, p95)": [
            round(statistics.median(took), 1),
            round(statistics.quantiles(took, n=20)[-1], 1) if len(took) > 1 else None,
        ],
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    expect.set_options(timeout=HANG_MILLISECONDS)
    json.dump(measure(parser.parse_args().turns), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
