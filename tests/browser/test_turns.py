"""Turns that are stopped, wait, fail, die, or are seen from several tabs."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Gate, Raw, Said, Streamed
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, sign_in, turn, turns
from parley_testing.stack_death import kill_streaming_process, let_another_carry_on
from parley_testing.waiting import wait_for

Enter = Callable[..., Visit]

REFUSED = Raw(400, b'{"error": {"message": "no such model", "type": "invalid_request_error"}}')


def test_the_text_is_whole_and_shown_once_if_its_process_dies_in_the_middle(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    gate = Gate()
    model.when(
        "carry on",
        Called("add_task", {"title": "survive", "notes": None, "due_at": None}),
        Streamed("The first half, ", gate, "and the second."),
    )
    say(page, "carry on")
    shown = turn(page, "carry on")
    expect(shown).to_contain_text("The first half,")

    kill_streaming_process(stack)
    gate.open()
    let_another_carry_on(stack, page.url.split("#")[1], user)

    expect(shown).to_contain_text("Carried on after a crash")
    expect(shown.locator(".prose")).to_have_text("The first half, and the second.")
    expect(shown).not_to_contain_text("Working…")
    expect(shown.locator("summary")).to_have_count(1)
    page.reload()
    expect(shown.locator(".prose")).to_have_text("The first half, and the second.")
    expect(turns(page)).to_have_count(1)


def test_a_turn_that_runs_is_stopped_and_can_be_tried_again(page: Page, model: ToldModel) -> None:
    gate = Gate()
    model.when("count to a million", Streamed("One, two, ", gate, "three"))
    say(page, "count to a million")
    shown = turn(page, "count to a million")
    expect(shown).to_contain_text("One, two,")

    shown.get_by_role("button", name="Stop").click()

    expect(shown).to_contain_text("Cancelled.")
    expect(shown).to_contain_text("What the agent had begun to say")
    gate.open()
    model.when("count to a million", Said("That was quick."))
    shown.get_by_role("button", name="Try again").click()
    expect(turns(page)).to_have_count(2)
    expect(turns(page).last).to_contain_text("That was quick.")


def test_a_turn_that_fails_says_why_and_can_be_tried_again(page: Page, model: ToldModel) -> None:
    model.when("fail once", REFUSED)
    say(page, "fail once")
    shown = turn(page, "fail once")
    expect(shown).to_contain_text("This failed.")
    expect(shown).to_contain_text("model_failed")
    page.reload()
    expect(shown).to_contain_text("model_failed")

    model.when("fail once", Said("Now it went well."))
    shown.get_by_role("button", name="Try again").click()

    expect(turns(page).last).to_contain_text("Now it went well.")
    expect(turns(page)).to_have_count(2)


def test_what_is_sent_meanwhile_waits_its_turn_and_can_be_taken_back(
    page: Page, model: ToldModel
) -> None:
    gate = Gate()
    model.when("first in line", Streamed("I am ", gate, "done."))
    say(page, "first in line")
    expect(turn(page, "first in line")).to_contain_text("I am")

    say(page, "second in line")
    say(page, "third in line")
    for text in ("second in line", "third in line"):
        expect(turn(page, text)).to_contain_text("Waits its turn")
    turn(page, "third in line").get_by_role("button", name="Take back").click()
    expect(turn(page, "third in line")).to_contain_text("Cancelled.")
    gate.open()

    expect(turn(page, "first in line")).to_contain_text("I am done.")
    expect(turn(page, "second in line")).to_contain_text("You said: second in line")
    expect(page.locator(".said")).to_have_text(["first in line", "second in line", "third in line"])
    assert not [asked for asked in model.asked if "third in line" in str(asked.input[-1])]


def test_two_tabs_on_one_conversation_show_the_same(
    visit: Enter, model: ToldModel, user: str
) -> None:
    gate = Gate()
    model.when("seen by two", Streamed("Half ", gate, "and half"))
    browser = visit()
    one = browser.tab()
    sign_in(one, user)
    say(one, "hello from one")
    expect(turn(one, "hello from one")).to_contain_text("You said:")
    other = browser.tab()
    sign_in(other, user)
    other.goto(one.url)
    other.get_by_role("link", name="hello from one").click()
    expect(turn(other, "hello from one")).to_contain_text("You said:")

    say(one, "seen by two")

    for tab in (one, other):
        expect(turn(tab, "seen by two")).to_contain_text("Half")
        expect(turn(tab, "seen by two")).to_contain_text("Working…")
    gate.open()
    for tab in (one, other):
        expect(turn(tab, "seen by two").locator(".prose")).to_have_text("Half and half")
        expect(turns(tab)).to_have_count(2)
    say(other, "and back")
    expect(turn(one, "and back")).to_contain_text("You said: and back")


def test_older_messages_come_as_one_scrolls_up(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    many = 45
    said = stack_messages(stack, user, many)

    page.goto(f"/chat#{said}")
    page.reload()
    expect(turns(page).last).to_contain_text(f"number {many}")
    expect(turn(page, "number 1.")).to_have_count(0)
    region = page.get_by_role("region", name="Messages")

    def scrolled_to_the_first() -> bool:
        region.evaluate("(place) => place.scrollTo(0, 0)")
        return turns(page).count() >= many

    wait_for(scrolled_to_the_first)
    expect(turns(page)).to_have_count(many)
    expect(turns(page).first).to_contain_text("number 1.")
    expect(page.get_by_role("button", name="Show older messages")).to_be_hidden()


def test_older_messages_come_until_they_fill_what_is_in_sight(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    many = 45
    said = stack_messages(stack, user, many)

    page.set_viewport_size({"width": 1280, "height": 10_000})
    page.goto(f"/chat#{said}")
    page.reload()

    expect(turns(page)).to_have_count(many)


def stack_messages(stack: LocalStack, user: str, many: int) -> str:
    """A session with so many turns, made without a page."""
    import httpx

    with httpx.Client(
        base_url=stack.url, headers=stack.headers(user), timeout=None, trust_env=False
    ) as client:
        session: str = client.post("/sessions", json={"name": "long"}).json()["id"]
        for number in range(1, many + 1):
            body = {"text": f"number {number}."}
            client.post(f"/sessions/{session}/messages", json=body).raise_for_status()
    return session
