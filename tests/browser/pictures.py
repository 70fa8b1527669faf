"""Takes the pictures of the pages that the docs show: `python tests/browser/pictures.py FOLDER`.

It is a real run: `make dev`, the todo agent with its tools and a browser. The model says what is
told here, so that the pictures come out alike.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import psycopg
from playwright.sync_api import Browser, expect

from parley.ids import first_id
from parley_local.postgres import DATABASE
from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Gate, Raw, Said, Streamed
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import HANG_MILLISECONDS, Visit, say, sign_in, started, turn

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
        _happen(stack, model)
        take_console(browser, stack, folder)


def take_console(browser: Browser, stack: LocalStack, folder: Path) -> None:
    """Take the operations page: its figures, and a turn opened."""
    visit = Visit(browser, stack.url, viewport={"width": 1200, "height": 900})
    page = visit.tab()
    sign_in(page, "ops", "/console")
    page.goto("/console#figures")
    expect(page.get_by_role("img", name="Tokens")).to_be_visible()
    page.mouse.move(600, 20)
    page.screenshot(path=folder / "console.png", animations="disabled")
    page.goto("/console#sessions?user_id=mara")
    page.get_by_role("link", name="Plan my week").click()
    page.get_by_role("link", name="What was done").first.click()
    expect(page.locator(".time-line .tool")).to_have_count(2)
    page.screenshot(path=folder / "console-turn.png", animations="disabled")
    visit.close()


def _happen(stack: LocalStack, model: ToldModel) -> None:
    """Have users talk, and spread it over the day before, as nobody waits for a picture."""
    model.when("fail", Raw(400, b'{"error": {"message": "no such model", "type": "x"}}'))
    for user, texts in {
        "ana": ["hello"] * 9 + ["fail"],
        "ben": ["what is due"] * 13 + ["fail"] * 2,
        "mia": ["good morning"] * 17,
    }.items():
        with httpx.Client(
            base_url=stack.url, headers=stack.headers(user), trust_env=False, timeout=None
        ) as client:
            session_id = client.post("/sessions", json={}).raise_for_status().json()["id"]
            for text in texts:
                client.post(f"/sessions/{session_id}/messages", json={"text": text})
    place = Path(stack.data_dir, "postgres", "postmaster.pid").read_text().splitlines()[4]
    drawn = Random(16)
    now = datetime.now(UTC)
    with psycopg.connect(host=place, user="postgres", dbname=DATABASE, autocommit=True) as sql:
        owners = {"users": ["ana", "ben", "mia"]}
        rows = sql.execute("SELECT id FROM turns WHERE user_id = ANY(%(users)s)", owners).fetchall()
        for number, (turn_id,) in enumerate(rows):
            begun = now - timedelta(hours=23 * abs(drawn.gauss(0.35, 0.22)))
            moved = UUID(int=first_id(begun).int + number)
            took = drawn.lognormvariate(0.7, 0.5)
            # Messages and tool calls follow a turn's id, which has its time.
            sql.execute(
                "WITH said AS (DELETE FROM messages WHERE turn_id = %(old)s)"
                " UPDATE turns SET id = %(new)s, created_at = %(at)s, started_at = %(at)s,"
                " ended_at = %(at)s + make_interval(secs => %(took)s),"
                " input_tokens = %(sent)s, output_tokens = %(received)s WHERE id = %(old)s",
                {
                    "old": turn_id,
                    "new": moved,
                    "at": begun,
                    "took": took,
                    "sent": drawn.randint(300, 2400),
                    "received": drawn.randint(40, 500),
                },
            )


def _environment(model: ToldModel) -> dict[str, str]:
    return {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.base_url, "OPENAI_MODEL": "told"}


def _task(title: str) -> dict[str, str | None]:
    return {"title": title, "notes": None, "due_at": None}


if __name__ == "__main__":
    expect.set_options(timeout=HANG_MILLISECONDS)
    take(Path(sys.argv[1]))
