"""Signing in and talking to an agent."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from parley_testing.models.server import Called, Gate, Said, Streamed
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, sign_in, turn, turns

Enter = Callable[..., Visit]


def test_one_signs_in_by_a_name_and_stays_signed_in_after_a_reload(visit: Enter) -> None:
    page = visit().tab()
    page.goto("/chat")
    page.get_by_label("Your name").fill("two words")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("no spaces")

    sign_in(page, "carol")
    page.reload()

    expect(page.get_by_text("Signed in as carol")).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert kept == '[{},{"parley.user":"carol"},""]', "a token may be kept in memory alone"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your name")).to_be_visible()


def test_users_do_not_see_each_others_conversations(visit: Enter, model: ToldModel) -> None:
    ada, bob = visit().tab(), visit().tab()
    sign_in(ada, "ada")
    sign_in(bob, "bob")

    say(ada, "a secret of ada's")
    expect(turn(ada, "a secret of ada's")).to_contain_text("You said:")
    bob.goto(ada.url)

    expect(bob.get_by_text("There is no such conversation")).to_be_visible()
    expect(bob.get_by_text("No conversations yet")).to_be_visible()


def test_a_reply_is_shown_while_it_comes(page: Page, model: ToldModel) -> None:
    gate = Gate()
    model.when("hello there", Streamed("Good **morn", gate, "ing** to you"))

    say(page, "hello there")
    shown = turn(page, "hello there")

    expect(shown).to_contain_text("morn")
    expect(shown).to_contain_text("Working…")
    expect(shown.get_by_role("button", name="Stop")).to_be_visible()
    gate.open()
    expect(shown.locator("strong")).to_have_text("morning")
    expect(shown).not_to_contain_text("Working…")
    expect(page.get_by_role("status")).to_contain_text("morning to you")
    expect(page.get_by_role("heading", level=1)).to_have_text("hello there")
    expect(page.get_by_role("link", name="hello there")).to_have_attribute("aria-current", "page")


def test_a_tool_call_folds_and_shows_what_it_was_given_and_gave(
    page: Page, model: ToldModel
) -> None:
    arguments = {"title": "buy milk", "notes": None, "due_at": None}
    model.when("note milk", Called("add_task", arguments), Said("It is noted."))

    say(page, "note milk")
    shown = turn(page, "note milk")
    expect(shown).to_contain_text("It is noted.")
    expect(shown.locator("summary bdi")).to_have_text(["add_task", "buy milk"])
    expect(shown.locator("summary")).to_contain_text("done")
    given = shown.get_by_text('"title": "buy milk"')
    expect(given.first).to_be_hidden()
    shown.locator("summary").click()

    expect(given).to_have_count(2)
    expect(given.first).to_be_visible()


def test_what_a_tool_did_is_found_again_after_a_reload(page: Page, model: ToldModel) -> None:
    arguments = {"title": "buy bread", "notes": None, "due_at": None}
    model.when("note bread", Called("add_task", arguments), Said("Bread is noted."))
    say(page, "note bread")
    expect(turn(page, "note bread")).to_contain_text("Bread is noted.")

    page.reload()
    turn(page, "note bread").get_by_role("button", name="Show what it did").click()

    shown = turn(page, "note bread")
    shown.locator("summary").click()
    expect(shown.get_by_text('"title": "buy bread"').first).to_be_visible()
    assert shown.inner_text().count("Bread is noted.") == 1


def test_a_reload_in_the_middle_of_a_reply_goes_on_where_it_was(
    page: Page, model: ToldModel
) -> None:
    gate = Gate()
    model.when("tell a story", Streamed("Once upon ", "a time ", gate, "they lived happily."))
    say(page, "tell a story")
    expect(turn(page, "tell a story")).to_contain_text("Once upon a time")

    page.reload()

    shown = turn(page, "tell a story")
    expect(shown).to_contain_text("Once upon a time")
    expect(shown).to_contain_text("Working…")
    gate.open()
    expect(shown.locator(".prose")).to_have_text("Once upon a time they lived happily.")
    expect(turns(page)).to_have_count(1)
    assert len([asked for asked in model.asked if "tell a story" in str(asked.input)]) == 1


def test_an_agent_is_chosen_and_a_conversation_renamed_and_deleted(
    page: Page, model: ToldModel
) -> None:
    page.get_by_label("assistant").check()
    say(page, "who are you")
    expect(turn(page, "who are you")).to_contain_text("You said: who are you")
    expect(page.get_by_role("main").get_by_text("assistant", exact=True)).to_be_visible()

    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("introductions")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("introductions")
    expect(page.get_by_role("link", name="introductions")).to_be_visible()

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New conversation")
    expect(page.get_by_text("No conversations yet")).to_be_visible()


def test_two_conversations_that_begin_alike_have_names_of_their_own(
    page: Page, model: ToldModel
) -> None:
    for _ in range(2):
        page.get_by_role("link", name="New conversation").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("New conversation")
        say(page, "good day")
        expect(turn(page, "good day")).to_contain_text("You said: good day")
        expect(turns(page)).to_have_count(1)

    expect(page.get_by_role("link", name="good day (2)")).to_be_visible()
