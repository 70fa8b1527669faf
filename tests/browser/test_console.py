"""The operations page: what administrators see, and what they do there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect

from parley_local.postgres import DATABASE
from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Gate, Raw, Said, Streamed
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, sign_in, sign_in_here
from parley_testing.pages.hostile_text import BIDI, ESCAPES, HOSTILE, HUGE, SCRIPTS, harmless
from parley_testing.pages.page_checks import NARROW, WIDTHS, keeps_nobody_out, tab_to
from parley_testing.stack_death import kill_streaming_process, let_another_carry_on

Enter = Callable[..., Visit]

REFUSED = Raw(400, b'{"error": {"message": "no such model", "type": "invalid_request_error"}}')
PARTS = ("Now", "Figures", "Sessions", "Escalations", "Approvals", "Cleanup")


class Talker:
    """A user who talks through the API."""

    def __init__(self, stack: LocalStack, user: str) -> None:
        self.user = user
        self.client = httpx.Client(
            base_url=stack.url, headers=stack.headers(user), trust_env=False, timeout=None
        )

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code < 400, answer.text
        return answer.json() if answer.content else None

    def session(self, **fields: Any) -> str:
        made: str = self("POST", "/sessions", fields)["id"]
        return made

    def say(self, session_id: str, text: str) -> Any:
        """Send a message, and give the turn when it has ended, however it did."""
        path = f"/sessions/{session_id}/messages/stream"
        with self.client.stream("POST", path, json={"text": text}) as answer:
            answer.read()
            assert answer.status_code == 200, answer.text
        return self("GET", f"/sessions/{session_id}/turns")["items"][0]

    def begin(self, session_id: str, text: str) -> Any:
        """Send a message, and give the turn that has begun."""
        answer = self.client.post(
            f"/sessions/{session_id}/messages",
            json={"text": text, "on_conflict": "enqueue"},
            headers={"Prefer": "respond-async"},
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["turn"]


@pytest.fixture
def talker(stack: LocalStack, user: str) -> Iterator[Talker]:
    talker = Talker(stack, re.sub(r"[^\w-]", "-", user))
    with talker.client:
        yield talker


def opened(page: Page, part: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=part).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(part)
    expect(page.get_by_role("status")).to_have_text(f"{part} is shown.")


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")


def turn_row(page: Page, table: str, turn: Any) -> Locator:
    rows = page.get_by_role("region", name=table).get_by_role("row")
    return rows.filter(has=page.locator(f'a[href="#turns/{turn["id"]}"]'))


def test_one_signs_in_as_an_administrator_and_stays_signed_in(visit: Enter) -> None:
    page = visit().tab()
    sign_in(page, "ops", "/console")
    expect(page.get_by_text("Signed in as ops")).to_be_visible()

    page.reload()

    expect(page.get_by_text("Signed in as ops")).to_be_visible()
    kept = page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]")
    assert kept == [{}, {"parley.administrator": "ops"}, ""]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your name")).to_be_visible()


def test_who_signed_in_at_the_chat_page_is_no_administrator(visit: Enter) -> None:
    page = visit().tab()
    sign_in(page, "carol")

    page.goto("/console")

    expect(page.get_by_label("Your name")).to_be_visible()


def test_what_runs_what_waits_and_what_failed_is_seen_with_its_reason(
    visit: Enter, model: ToldModel, talker: Talker
) -> None:
    gate = Gate()
    model.when("run on", Streamed("Begun", gate))
    model.when("break", REFUSED)
    failed = talker.say(talker.session(), "break")
    session_id = talker.session()
    running, waiting = talker.begin(session_id, "run on"), talker.begin(session_id, "and then")
    page = visit().tab()
    sign_in(page, "root", "/console")
    again = page.get_by_role("button", name="Look again")
    expect(again).to_be_visible()
    while not turn_row(page, "Turns that run", running).is_visible():  # a worker takes it
        again.click()
        expect(page.locator(".body")).not_to_have_attribute("aria-busy", "true")

    row = turn_row(page, "Turns that run", running)
    expect(row).to_contain_text(talker.user[:20])
    expect(turn_row(page, "Turns that wait", waiting)).to_contain_text("queued")
    expect(turn_row(page, "Turns that failed", failed)).to_contain_text("model_failed")
    expect(page.get_by_role("region", name="Causes of failure")).to_contain_text("model_failed")
    gate.open()
    while turn_row(page, "Turns that run", running).is_visible():
        again.click()
        expect(page.locator(".body")).not_to_have_attribute("aria-busy", "true")


def test_turns_by_outcome_latency_and_tokens_are_plotted_over_hours_and_days(
    console: Page, model: ToldModel, talker: Talker
) -> None:
    talker.say(talker.session(), "count me")

    opened(console, "Figures")

    for title in ("Turns by outcome", "Time to a reply", "Tokens", "Cost by day"):
        expect(console.get_by_role("img", name=title)).to_be_visible()
    outcome = console.locator("figure").filter(has_text="Turns by outcome")
    expect(outcome.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("completed: [1-9]")
    )
    expect(outcome.locator("svg rect.of-completed")).not_to_have_count(0)
    outcome.get_by_text("As a table").click()
    expect(outcome.get_by_role("row")).to_have_count(25)
    console.get_by_label("Over the last").select_option("7 days")
    expect(outcome.locator(".place")).to_have_count(7)
    outcome.get_by_text("As a table").click()
    now = outcome.get_by_role("row").last
    assert int(now.get_by_role("cell").first.inner_text().replace(",", "")) >= 1
    expect(
        console.locator("figure").filter(has_text="Tokens").locator("rect.series-0")
    ).not_to_have_count(0)
    cost = console.locator("figure").filter(has_text="Cost by day")
    expect(cost.locator(".place")).to_have_count(7)
    # Nothing is known of what the model of these tests costs, and that is no 0.
    expect(cost).to_contain_text("calls whose price is not known")
    cost.get_by_text("As a table").click()
    expect(cost.get_by_role("row").last).to_contain_text("\N{EN DASH}")


def test_sessions_of_all_users_are_found_and_each_look_at_a_transcript_recorded(
    console: Page, model: ToldModel, talker: Talker, stack: LocalStack
) -> None:
    session_id = talker.session(name="a quiet talk", metadata={"order": "B-17"})
    model.when("say a word", Said("**a word**"))
    talker.say(session_id, "say a word")
    model.when("break here", REFUSED)
    talker.say(session_id, "break here")

    opened(console, "Sessions")
    console.get_by_label("User").fill(talker.user)
    console.get_by_role("button", name="Find").click()
    console.get_by_role("link", name="a quiet talk").click()

    expect(console.get_by_role("heading", level=1)).to_have_text("a quiet talk")
    said = console.locator(".turn")
    expect(said).to_have_count(2)
    expect(said.first).to_contain_text("say a word")
    expect(said.first).to_contain_text("**a word**")
    expect(said.last).to_contain_text("model_failed")
    console.get_by_text("Metadata").click()
    expect(console.get_by_text('"order": "B-17"')).to_be_visible()
    looks = audit(stack, session_id)
    assert f"GET /admin/sessions/{session_id}/messages" in looks
    assert f"GET /admin/sessions/{session_id}" in looks


def audit(stack: LocalStack, whom: str) -> list[str]:
    """What administrators asked for, of a session or a user."""
    place = Path(stack.data_dir, "postgres", "postmaster.pid").read_text().splitlines()[4]
    with psycopg.connect(host=place, user="postgres", dbname=DATABASE) as sql:
        rows = sql.execute(
            "SELECT action FROM audit_records WHERE whom = %s AND administrator = 'root'", [whom]
        )
        return [action for (action,) in rows.fetchall()]


def test_older_messages_come_when_they_are_asked_for(
    console: Page, model: ToldModel, talker: Talker
) -> None:
    session_id = talker.session()
    for number in range(22):
        talker.say(session_id, f"message {number}.")

    console.goto(f"/console#sessions/{session_id}")
    expect(console.locator(".turn")).to_have_count(20)
    console.get_by_role("button", name="Show older messages").click()

    expect(console.locator(".turn")).to_have_count(22)
    expect(console.locator(".turn").first).to_contain_text("message 0.")
    expect(console.get_by_role("button", name="Show older messages")).to_be_hidden()


def escalated(talker: Talker, model: ToldModel, name: str, reason: str) -> str:
    session_id = talker.session(name=name, agent="support")
    model.when(f"help {name}", Called("escalate", {"reason": reason}), Said("Somebody will."))
    talker.say(session_id, f"help {name}")
    assert talker("GET", f"/sessions/{session_id}")["status"] == "escalated"
    return session_id


def test_an_escalation_is_answered_and_the_user_reads_the_note(
    console: Page, model: ToldModel, talker: Talker
) -> None:
    session_id = escalated(talker, model, "parcel", "The parcel is late.")

    opened(console, "Escalations")
    card = console.get_by_role("listitem").filter(has_text="The parcel is late.")
    card.get_by_label("Note to the user").fill("It comes tomorrow. Anna")
    card.get_by_role("button", name="Set it back to active").click()

    expect(card).to_have_count(0)
    expect(console.get_by_role("status")).to_have_text("The session is active again.")
    session = talker("GET", f"/sessions/{session_id}")
    assert (session["status"], session["status_reason"]) == ("active", None)
    said = talker("GET", f"/sessions/{session_id}/messages")["items"]
    assert [message["content"] for message in said].count("It comes tomorrow. Anna") == 1
    console.goto(f"/console#sessions/{session_id}")
    expect(console.locator(".turn").last).to_contain_text("Administrator")


def test_an_escalation_is_answered_in_its_session_without_a_note(
    console: Page, model: ToldModel, talker: Talker
) -> None:
    session_id = escalated(talker, model, "invoice", "The invoice is wrong.")

    console.goto(f"/console#sessions/{session_id}")
    expect(console.get_by_text("The invoice is wrong.").first).to_be_visible()
    console.get_by_role("button", name="Set it back to active").click()

    expect(console.locator(".facts .badge")).to_have_text("active")
    expect(console.get_by_label("Note to the user")).to_have_count(0)
    assert talker("GET", f"/sessions/{session_id}")["status"] == "active"


def test_a_note_whose_answer_was_lost_is_not_left_again_by_itself(
    console: Page, model: ToldModel, talker: Talker
) -> None:
    session_id = escalated(talker, model, "lost", "It is lost.")
    asked: list[str] = []

    def lose(route: Any) -> None:
        if route.request.method == "PATCH":
            asked.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    console.route(f"**/admin/sessions/{session_id}", lose)
    opened(console, "Escalations")
    card = console.get_by_role("listitem").filter(has_text="It is lost.")
    card.get_by_label("Note to the user").fill("Found.")
    card.get_by_role("button", name="Set it back to active").click()

    expect(card.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(card.get_by_role("button", name="Set it back to active")).to_be_enabled()
    assert len(asked) == 1


def test_what_a_cleanup_would_remove_is_seen_before_it_can_be_removed(
    console: Page, talker: Talker
) -> None:
    kept, gone = talker.session(name="kept"), talker.session(name="gone soon")
    talker("PATCH", f"/sessions/{gone}", {"status": "ended"})
    talker("PATCH", f"/sessions/{kept}", {"status": "ended"})
    opened(console, "Cleanup")
    remove = console.get_by_role("button", name="Remove it")
    expect(remove).to_be_disabled()

    console.get_by_label("Inactive for days").fill("0")
    console.get_by_label("Only of user").fill(talker.user)
    console.get_by_label("Only names beginning with").fill("gone")
    console.get_by_role("button", name="See what would go").click()
    found = console.get_by_role("region", name="Sessions").get_by_role("table")
    expect(found.get_by_role("link", name="gone soon")).to_be_visible()
    expect(found.get_by_role("row")).to_have_count(2)
    assert talker("GET", f"/sessions/{gone}")["name"] == "gone soon"
    # Other filters were not looked at.
    console.get_by_label("Only names beginning with").fill("gone s")
    expect(remove).to_be_disabled()
    console.get_by_role("button", name="See what would go").click()
    expect(remove).to_be_enabled()
    remove.click()
    console.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    remove.click()
    console.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()

    expect(console.get_by_role("heading", name="What went")).to_be_visible()
    expect(remove).to_be_disabled()
    names = [session["name"] for session in talker("GET", "/sessions")["items"]]
    assert names == ["kept"]


def test_a_turn_shows_its_attempts_model_calls_and_tools_on_a_time_line(
    console: Page, model: ToldModel, talker: Talker, stack: LocalStack, visit: Enter
) -> None:
    gate = Gate()
    task = {"title": "survive", "notes": None, "due_at": None}
    model.when(
        "carry on here", Called("add_task", task), Streamed("The first half, ", gate, "end.")
    )
    chat = visit().tab()
    sign_in(chat, talker.user)
    chat.get_by_label("Message", exact=True).fill("carry on here")
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".turn")).to_contain_text("The first half,")
    session_id = chat.url.split("#")[1]
    kill_streaming_process(stack)
    gate.open()
    let_another_carry_on(stack, session_id, talker.user)
    expect(chat.locator(".prose")).to_have_text("The first half, end.")
    expect(chat.locator(".answer")).not_to_have_attribute("aria-busy", "true")

    console.goto(f"/console#sessions/{session_id}")
    console.get_by_role("link", name="What was done").click()

    expect(console.get_by_role("heading", level=1)).to_contain_text("Turn 1 of")
    line = console.locator(".time-line")
    expect(line.locator(".attempt")).to_have_text(
        [re.compile("Attempt 1 begins"), re.compile("Attempt 2 carries it on")]
    )
    expect(line.locator(".message")).to_contain_text("carry on here")
    expect(line.locator(".model").first).to_contain_text("told")
    tool = line.locator(".tool")
    expect(tool).to_contain_text("add_task")
    expect(tool).to_contain_text("changes something")
    tool.locator("summary").click()
    expect(tool).to_contain_text('"title": "survive"')
    expect(line.locator(".end")).to_contain_text("The first half, end.")
    order = line.locator(".entry").evaluate_all("(all) => all.map((each) => each.classList[1])")
    assert order[0] == "message"
    assert order[-1] == "end"
    assert order.index("attempt") < order.index("tool") < len(order) - 1
    expect(console.locator(".facts")).to_contain_text("of which 1 died")
    items = console.locator(".items > li")
    expect(items.filter(has_text="function_call_output")).to_have_count(1)
    expect(items.first).to_contain_text("carry on here")


def test_a_turn_that_failed_says_why(console: Page, model: ToldModel, talker: Talker) -> None:
    model.when("break it", REFUSED)
    turn = talker.say(talker.session(), "break it")

    console.goto(f"/console#turns/{turn['id']}")

    expect(console.locator(".facts")).to_contain_text("model_failed")
    expect(console.locator(".time-line .end")).to_contain_text("Is failed")


def test_what_is_not_there_is_said_so(console: Page) -> None:
    for address, said in (
        ("turns/018f0000-0000-7000-8000-000000000001", "There is no such turn"),
        ("sessions/018f0000-0000-7000-8000-000000000001", "There is no such session"),
        ("turns/<img src=x onerror=window.owned=1>", "There is no such turn"),
    ):
        console.goto(f"/console#{address}")

        expect(console.get_by_role("alert")).to_contain_text(said)
        harmless(console)


def test_text_from_wherever_it_comes_is_only_read(
    console: Page, model: ToldModel, talker: Talker, stack: LocalStack
) -> None:
    evil = "".join(SCRIPTS[:3]) + BIDI
    model.when(
        HOSTILE,
        Called("add_task", {"title": evil, "notes": HOSTILE[:1500], "due_at": None}),
        [Called("</b><script>window.owned=1</script>"[:60], {"x": ESCAPES}, "call_9")],
        Said(HOSTILE),
    )
    session_id = talker.session(name=evil, metadata={"<img src=x onerror=owned=1>": HOSTILE[:9000]})
    turn = talker.say(session_id, HOSTILE)
    talker.session(name=HUGE[:200])
    refused = b'{"error": {"message": "<img src=x onerror=window.owned=1>", "type": "x"}}'
    model.when("fail evilly", Raw(400, refused))
    failed = talker.say(talker.session(), "fail evilly")
    user = Talker(stack, "<script>window.owned=1</script>")
    with user.client:
        call = escalated(user, model, "evil<b>", HOSTILE[:900])

    for address in (
        "now", "figures", "sessions", f"sessions/{session_id}", f"sessions/{call}", "escalations",
        f"turns/{turn['id']}", f"turns/{failed['id']}", "cleanup", "<script>owned=1</script>",
        f"sessions?user_id={'%3Cscript%3E' * 20}",
    ):  # fmt: skip
        console.goto(f"/console#{address}")
        expect(console.locator(".body")).not_to_have_attribute("aria-busy", "true")
        unfold(console)
        harmless(console)
    console.goto(f"/console#turns/{turn['id']}")
    expect(console.locator(".time-line .message")).to_contain_text(
        "<script>window.owned = 1</script>"
    )
    unfold(console)
    expect(console.locator(".time-line .tool").first).to_contain_text("⟨U+202E⟩")


@pytest.mark.parametrize(
    "scheme",
    [
        "light",
        pytest.param("dark", marks=pytest.mark.at_length("test_console_approvals.py looks so")),
    ],
)
def test_every_part_fits_and_keeps_nobody_out(
    visit: Enter, model: ToldModel, talker: Talker, scheme: str
) -> None:
    task = {"title": "a task " * 20, "notes": None, "due_at": None}
    model.when("do all", Called("add_task", task), Said("Done. " * 100))
    model.when("fail", REFUSED)
    session_id = talker.session(name="W" * 60)
    turn = talker.say(session_id, "do all")
    talker.say(session_id, "fail")
    call = escalated(talker, model, f"in the {scheme}", "Needs a person. " * 20)
    page = visit(color_scheme=scheme).tab()
    page.goto("/console")
    expect(page.get_by_label("Your name")).to_be_visible()
    keeps_nobody_out(page, axe_at=NARROW)
    sign_in_here(page, "root")

    for place, address in enumerate((
        "now", "figures", "sessions", f"sessions/{call}", "escalations", "cleanup",
        f"turns/{turn['id']}", "turns/nothing",
    )):  # fmt: skip
        page.goto(f"/console#{address}")
        expect(page.get_by_role("status")).to_contain_text("shown")
        expect(page.locator(".body")).not_to_have_attribute("aria-busy", "true")
        unfold(page)
        keeps_nobody_out(page, axe_at=WIDTHS[place % 2])
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 24, 26)") == dark == (scheme == "dark")


def test_all_can_be_done_with_the_keyboard(console: Page) -> None:
    heading = console.get_by_role("heading", level=1)  # which has the focus when all is shown
    console.locator("body").focus()
    tab_to(console, 'nav a[href="#sessions"]')
    console.keyboard.press("Enter")
    expect(heading).to_be_focused()
    tab_to(console, 'input[name="user_id"]')
    console.keyboard.type("nobody-of-that-name")
    console.keyboard.press("Enter")
    expect(console.get_by_text("None.")).to_be_visible()
    expect(heading).to_be_focused()
    tab_to(console, 'nav a[href="#cleanup"]')
    console.keyboard.press("Enter")
    expect(heading).to_have_text("Cleanup")
    expect(heading).to_be_focused()
    tab_to(console, 'input[name="user_id"]')
    console.keyboard.type("nobody-of-that-name")
    console.keyboard.press("Enter")
    expect(console.get_by_role("heading", name="What would go")).to_be_visible()
    expect(console.get_by_role("status")).to_have_text("Nothing would go.")


def test_the_parts_are_named_for_who_does_not_see_them(console: Page) -> None:
    for part in PARTS:
        opened(console, part)
        expect(console).to_have_title(f"{part} · Parley operations")
        link = console.get_by_role("navigation", name="Parts").get_by_role("link", name=part)
        expect(link).to_have_attribute("aria-current", "page")
