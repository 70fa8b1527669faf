"""Takes the pictures of the pages that the docs show: `python tests/browser/pictures.py FOLDER`.

It is a real run: `make dev`, the todo agent with its tools and a browser. The model says what is
told here, so that the pictures come out alike.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from parley_local.stack import LocalStack
from parley_testing.browser import HANG_MILLISECONDS, Visit, say, sign_in, started, turn
from parley_testing.models.server import Called, Gate, Said, Streamed
from parley_testing.told_model import ToldModel

WEEK = """\
Both are on your list now. Here is how the week could go:

| day | what |
|---|---|
| Tuesday | **Call Ana** about the boat, before noon |
| Thursday | Buy `2 x M6` screws on the way home |

Nothing else is due before Friday.
"""


def take(folder: Path) -> None:
    """Take them into a folder."""
    gate = Gate()
    with (
        ToldModel() as model,
        tempfile.TemporaryDirectory() as place,
        LocalStack(Path(place) / "data", env=_environment(model)) as stack,
        started() as browser,
    ):
        visit = Visit(browser, stack.url, viewport={"width": 1200, "height": 720})
        page = visit.tab()
        sign_in(page, "mara")
        for text in ("Packing list for the lake", "What is due on Friday?"):
            say(page, text)
            expect(turn(page, text)).to_contain_text("You said:")
            page.get_by_role("link", name="New conversation").click()
            expect(page.get_by_role("group")).to_be_visible()
        model.when(
            "Plan my week: call Ana, and get screws",
            [
                Called("add_task", _task("Call Ana about the boat"), "call_1"),
                Called("add_task", _task("Buy M6 screws"), "call_2"),
            ],
            Said(WEEK),
        )
        say(page, "Plan my week: call Ana, and get screws")
        expect(turn(page, "Plan my week")).to_contain_text("Nothing else is due")
        model.when("And next week?", Streamed("Next week is open. You could ", gate))
        say(page, "And next week?")
        expect(turn(page, "And next week?")).to_contain_text("You could")
        say(page, "Remind me on Monday")
        expect(turn(page, "Remind me on Monday")).to_contain_text("Waits its turn")
        page.screenshot(path=folder / "chat.png", animations="disabled")
        gate.open()
        expect(turn(page, "Remind me on Monday")).to_contain_text("You said:")
        visit.close()


def _environment(model: ToldModel) -> dict[str, str]:
    return {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.base_url, "OPENAI_MODEL": "told"}


def _task(title: str) -> dict[str, str | None]:
    return {"title": title, "notes": None, "due_at": None}


if __name__ == "__main__":
    expect.set_options(timeout=HANG_MILLISECONDS)
    take(Path(sys.argv[1]))
