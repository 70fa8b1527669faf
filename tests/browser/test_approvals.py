"""A turn that waits for a person, on the chat page: asked, decided, and carried on in place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Said
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, sign_in, turn
from parley_testing.pages.page_checks import NARROW, WIDE, keeps_nobody_out, tab_to

Enter = Callable[..., Visit]

REFUND = {"order": "A1", "cents": 900}
HOSTILE = "<img src=x onerror=alert(1)>\u202e<script>alert(2)</script>"


def ask(page: Page, model: ToldModel, text: str, *steps: Any) -> Locator:
    """Send a message on which the agent makes these calls, and return its turn."""
    model.when(text, *(steps or (Called("refund", REFUND),)), Said(f"Done with {text}."))
    page.get_by_role("radio", name="refunds").check()
    say(page, text)
    shown = turn(page, text)
    expect(shown.locator(".approval").last).to_contain_text("Waits for a decision")
    return shown


def api(stack: LocalStack, user: str, method: str, path: str, body: Any = None) -> Any:
    admin = path.startswith("/admin")
    headers = stack.headers(user, admin=admin)
    answer = httpx.request(
        method, stack.url + path, headers=headers, json=body, timeout=None, trust_env=False
    )
    assert answer.is_success, answer.text
    return answer.json()


def open_approval(stack: LocalStack, user: str) -> str:
    (asked,) = api(stack, user, "GET", "/approvals?status=open")["items"]
    return str(asked["id"])


def test_what_is_asked_is_shown_and_the_rest_comes_in_place(page: Page, model: ToldModel) -> None:
    shown = ask(page, model, "refund it")

    expect(shown.locator(".approval")).to_contain_text("refund")
    expect(shown.locator(".approval pre")).to_contain_text('"cents": 900')
    expect(shown.locator(".approval")).to_contain_text("You decide. It expires on")
    expect(page.get_by_role("status")).to_contain_text("waits for a decision: refund")
    expect(shown.get_by_role("button", name="Stop")).to_be_visible()
    shown.get_by_role("button", name="Approve").click()

    expect(shown).to_contain_text("Done with refund it.")
    expect(shown.locator(".approval")).to_contain_text("Approved")
    expect(shown.get_by_role("button", name="Approve")).to_be_hidden()
    expect(shown).not_to_contain_text("Carried on after a crash")
    expect(page.locator(".turn")).to_have_count(1)


def test_what_is_rejected_is_not_done_and_the_agent_is_told_why(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    shown = ask(page, model, "reject it")
    page.reload()
    expect(shown.locator(".approval pre")).to_contain_text('"cents": 900')
    shown.get_by_label("Reason").fill("too much")
    shown.get_by_role("button", name="Reject").click()

    expect(shown).to_contain_text("Done with reject it.")
    expect(shown.locator(".approval")).to_contain_text("Rejected")
    expect(shown.locator(".approval")).to_contain_text("too much")
    (rejected,) = api(stack, user, "GET", "/approvals?status=rejected")["items"]
    assert rejected["reason"] == "too much"
    page.reload()
    shown.get_by_role("button", name="Show what it did").click()
    expect(shown.locator(".approval")).to_contain_text("Rejected")


def test_what_a_tool_is_given_can_be_changed_where_it_allows_that(
    page: Page, model: ToldModel
) -> None:
    closing = Called("close", {"order": "A1"})
    shown = ask(page, model, "change it", [Called("refund", REFUND), closing])
    refund, close = (shown.locator(".approval").nth(place) for place in (0, 1))
    expect(close.get_by_role("button", name="Change")).to_be_hidden()
    refund.get_by_role("button", name="Change").click()
    refund.get_by_label("Call it with").fill("[1]")
    refund.get_by_role("button", name="Approve").click()
    expect(refund.get_by_role("alert")).to_contain_text("must be a JSON object")
    refund.get_by_label("Call it with").fill('{"order": "A1", "cents": 5}')
    refund.get_by_role("button", name="Approve").click()
    expect(refund).to_contain_text("Approved")
    expect(shown).to_contain_text("Waits for a decision")
    close.get_by_role("button", name="Approve").click()

    expect(shown).to_contain_text("Done with change it.")
    shown.locator("summary", has_text="refund").click()
    expect(shown).to_contain_text("refunded 5 of A1")


def test_who_changes_only_a_note_changes_nothing_else(page: Page, model: ToldModel) -> None:
    note = "A1 \u202e\u200f é"
    given = {"order": note, "cents": 12345678901234567890}
    shown = ask(page, model, "to the digit", Called("refund", given))
    asks = shown.locator(".approval")
    expect(asks.locator("pre")).to_contain_text('"cents": 12345678901234567890')
    asks.get_by_role("button", name="Change").click()
    field = asks.get_by_label("Call it with")
    field.fill(field.input_value().replace("A1", "B2"))
    asks.get_by_role("button", name="Approve").click()

    expect(shown).to_contain_text("Done with to the digit.")
    expect(asks.locator("pre")).to_contain_text('"cents": 12345678901234567890')
    shown.locator("summary", has_text="refund").click()
    # Told by its number, what turns text around is still what the tool was given.
    expect(shown.locator(".tool")).to_contain_text(
        "refunded 12345678901234567890 of B2 ⟨U+202E⟩⟨U+200F⟩ é"
    )


def test_what_is_longer_than_an_event_is_said_to_be_until_it_is_read(
    page: Page, model: ToldModel
) -> None:
    page.route("**/sessions/*/turns/*", lambda route: route.abort())  # it has not looked yet
    shown = ask(page, model, "very long", Called("refund", {"order": "x" * 17_000, "cents": 7}))
    asks = shown.locator(".approval")
    expect(asks.get_by_text("This is only the beginning")).to_be_visible()
    expect(asks.get_by_role("button", name="Change")).to_be_hidden()
    page.unroute("**/sessions/*/turns/*")
    page.reload()

    expect(asks.locator("pre")).to_contain_text('"cents": 7')
    expect(asks).to_contain_text("Waits for a decision")
    expect(asks.get_by_text("This is only the beginning")).to_be_hidden()
    expect(asks.get_by_role("button", name="Change")).to_be_visible()


def test_json_is_shown_as_it_was_written(page: Page) -> None:
    written = {
        '{"z":1e400,"cents":1,"cents":2}': '{\n  "z": 1e400,\n  "cents": 1,\n  "cents": 2\n}',
        '{"10":1.0,"9":[ ],"a":{}}': '{\n  "10": 1.0,\n  "9": [],\n  "a": {}\n}',
        '["\\u00e9,\\"{",[-0.0]]': '[\n  "é,\\"{",\n  [\n    -0.0\n  ]\n]',
        '{"cut": "te': '{"cut": "te',
    }
    (script,) = page.locator("script[src*='/chat/main.js']").all()
    module = (script.get_attribute("src") or "").replace("chat/main.js", "shared/json_text.js")
    read = """async ([module, texts]) => {
        const { indented, changeable } = await import(new URL(module, document.baseURI));
        return texts.map((text) => [indented(text), changeable(text)]);
    }"""

    read_out = page.evaluate(read, [module, list(written)])

    assert read_out == [[told, told] for told in written.values()]


def test_one_tab_decides_and_the_other_sees_it(visit: Enter, model: ToldModel, user: str) -> None:
    person = visit()
    one, other = person.tab(), person.tab()
    sign_in(one, user)
    shown = ask(one, model, "two tabs")
    sign_in(other, user)
    other.goto(one.url)
    expect(turn(other, "two tabs").locator(".approval")).to_contain_text("Waits for a decision")
    shown.get_by_role("button", name="Approve").click()

    for tab in (one, other):
        expect(turn(tab, "two tabs")).to_contain_text("Done with two tabs.")
        expect(turn(tab, "two tabs").locator(".approval")).to_contain_text("Approved")


def test_what_is_decided_elsewhere_is_seen(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    shown = ask(page, model, "elsewhere")
    path = f"/approvals/{open_approval(stack, user)}"
    api(stack, user, "POST", path, {"decision": "reject", "reason": "by the command line"})

    expect(shown.locator(".approval")).to_contain_text("by the command line")
    expect(shown).to_contain_text("Done with elsewhere.")


def test_who_is_too_late_is_told_what_was_decided(
    page: Page, model: ToldModel, stack: LocalStack, user: str
) -> None:
    shown = ask(page, model, "too late", [Called("refund", REFUND), Called("pay", {"order": "A1"})])
    mine, admins = (shown.locator(".approval").nth(place) for place in (0, 1))
    expect(admins).to_contain_text("An administrator decides.")
    expect(admins.get_by_role("button", name="Approve")).to_be_hidden()
    page.route("**/sessions/*/turns/*", lambda route: route.abort())  # it has not looked yet
    asked = api(stack, user, "GET", "/approvals?status=open")["items"]
    (refund,) = [each["id"] for each in asked if each["tool"] == "refund"]
    api(stack, user, "POST", f"/approvals/{refund}", {"decision": "reject"})
    mine.get_by_role("button", name="Approve").click()

    expect(mine.get_by_role("alert")).to_contain_text("rejected")
    page.unroute("**/sessions/*/turns/*")
    (pay,) = [each["id"] for each in asked if each["tool"] == "pay"]
    api(stack, "root", "POST", f"/admin/approvals/{pay}", {"decision": "approve"})
    page.reload()
    expect(shown).to_contain_text("Done with too late.")


def test_what_has_expired_cannot_be_decided(visit: Enter, model: ToldModel, user: str) -> None:
    page = visit().tab()
    sign_in(page, user)
    shown = ask(page, model, "expires")
    page.clock.set_fixed_time(datetime.now() + timedelta(days=8))

    expect(shown.locator(".approval")).to_contain_text("Its time is over")
    expect(shown.get_by_role("button", name="Approve")).to_be_hidden()


def test_hostile_text_is_text(page: Page, model: ToldModel) -> None:
    shown = ask(page, model, "hostile", Called("refund", {"order": HOSTILE, "cents": 1}))

    expect(shown.locator(".approval pre")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(shown.locator(".approval pre")).to_contain_text("U+202E")
    assert page.locator(".approval img, .approval script").count() == 0
    shown.get_by_role("button", name="Approve").click()
    expect(shown).to_contain_text("Done with hostile.")


def test_a_message_sent_meanwhile_waits_and_the_turn_can_be_stopped(
    page: Page, model: ToldModel
) -> None:
    shown = ask(page, model, "stop it")
    say(page, "and then")
    expect(turn(page, "and then")).to_contain_text("Waits its turn")
    shown.get_by_role("button", name="Stop").click()

    expect(shown).to_contain_text("Cancelled.")
    expect(turn(page, "and then")).to_contain_text("You said: and then")


def test_it_is_for_everybody(page: Page, model: ToldModel) -> None:
    long = {"order": "x" * 300, "cents": 1}
    shown = ask(page, model, "for everybody", Called("refund", long))
    keeps_nobody_out(page, axe_at=NARROW)
    tab_to(page, ".approval .small")
    page.keyboard.press("Enter")
    keeps_nobody_out(page, axe_at=WIDE)
    tab_to(page, ".approval input")
    page.keyboard.type("fine")
    tab_to(page, ".approval button.main")
    page.keyboard.press("Enter")

    expect(shown).to_contain_text("Done with for everybody.")
    keeps_nobody_out(page, axe_at=NARROW)
