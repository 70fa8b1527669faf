"""Approvals on the operations page: found, opened and decided by an administrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Said
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, sign_in
from parley_testing.pages.page_checks import NARROW, WIDE, keeps_nobody_out, tab_to
from parley_testing.waiting import wait_for

Enter = Callable[..., Visit]

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def asking(stack: LocalStack, model: ToldModel, user: str, *calls: Called) -> dict[str, Any]:
    """Have a user's turn wait for a decision on calls, and return it with what it asks."""
    text = f"to {user}"
    model.when(text, [*calls], Said(f"Done for {user}."))
    headers = stack.headers(user)
    with httpx.Client(base_url=stack.url, headers=headers, timeout=None, trust_env=False) as client:
        # Followed, so that there are events of it.
        told = client.post("/messages/stream", json={"text": text, "agent": "refunds"})
        assert "turn.waiting" in told.text, told.text
        (asked,) = client.get("/approvals?status=open").json()["items"]
        path = f"/sessions/{asked['session_id']}/turns/{asked['turn_id']}"
        turn: dict[str, Any] = client.get(path).json()
    return turn


def turn_of(stack: LocalStack, user: str, asked: dict[str, Any]) -> Any:
    turn = asked["turn"]
    path = f"{stack.url}/sessions/{turn['session_id']}/turns/{turn['id']}"
    return httpx.get(path, headers=stack.headers(user), timeout=None, trust_env=False).json()


def test_a_turn_that_waits_leads_to_what_it_waits_for_which_is_approved(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    asked = asking(stack, model, user, Called("pay", {"order": "A1"}))
    console.goto(f"/console#turns/{asked['turn']['id']}")
    main = console.get_by_role("main")
    expect(main).to_contain_text("waiting")
    expect(main).to_contain_text("May pay be called? admin decides")
    main.get_by_role("link", name="A decision on pay").click()

    expect(console.get_by_role("heading", level=1)).to_contain_text(f"pay, asked for {user[:30]}")
    expect(main.locator(".approval pre")).to_contain_text('"order": "A1"')
    expect(main).to_contain_text("An administrator decides. It expires on")
    main.get_by_role("button", name="Approve").click()
    expect(main.locator(".approval")).to_contain_text("Approved")
    expect(main.locator(".facts")).to_contain_text("root")
    expect(main.get_by_role("button", name="Approve")).to_be_hidden()

    main.get_by_role("link", name=asked["turn"]["id"][-12:]).click()
    wait_for(lambda: turn_of(stack, user, asked)["turn"]["status"] == "completed")
    console.get_by_role("button", name="Look again").click()
    expect(main).to_contain_text("pay is approved")
    expect(main).to_contain_text(f"Done for {user}.")


def test_an_administrator_who_changes_only_a_note_changes_nothing_else(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    given = {"account": 12345678901234567890, "note": "A1"}
    asked = asking(stack, model, user, Called("charge", given))
    console.goto(f"/console#approvals/{asked['approvals'][0]['id']}")
    approval = console.locator(".approval")
    expect(approval.locator("pre")).to_contain_text('"account": 12345678901234567890')
    approval.get_by_role("button", name="Change").click()
    field = approval.get_by_label("Call it with")
    field.fill(field.input_value().replace("A1", "B2"))
    approval.get_by_role("button", name="Approve").click()
    expect(approval).to_contain_text("Approved")
    wait_for(lambda: turn_of(stack, user, asked)["turn"]["status"] == "completed")

    console.goto(f"/console#turns/{asked['turn']['id']}")
    expect(console.get_by_role("main")).to_contain_text("charged 12345678901234567890: B2")


def test_what_is_rejected_is_told_why_and_found_by_its_status(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    asked = asking(stack, model, user, Called("pay", {"order": HOSTILE}))
    console.get_by_role("link", name="Approvals", exact=True).click()
    waiting = console.get_by_role("region", name="Approvals that are open")
    row = waiting.get_by_role("row").filter(has_text=user[:30])
    expect(row).to_contain_text("<img src=x onerror=alert(1)>")
    row.get_by_role("link", name="pay").click()
    approval = console.locator(".approval")
    approval.get_by_label("Reason").fill("not in the budget")
    approval.get_by_role("button", name="Reject").click()
    expect(approval).to_contain_text("not in the budget")
    assert console.locator(".approval img").count() == 0

    console.get_by_role("link", name="Approvals", exact=True).click()
    expect(waiting.get_by_role("row").filter(has_text=user[:30])).to_have_count(0)
    console.get_by_label("Status").select_option("rejected")
    rejected = console.get_by_role("region", name="Approvals that are rejected")
    expect(rejected.get_by_role("row").filter(has_text=user[:30])).to_contain_text("root")
    assert turn_of(stack, user, asked)["turn"]["status"] in ("running", "completed")


def test_what_is_the_user_s_to_decide_an_administrator_sees_only(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    asked = asking(stack, model, user, Called("refund", {"order": "A1", "cents": 1}))
    console.goto(f"/console#approvals/{asked['approvals'][0]['id']}")

    expect(console.locator(".approval")).to_contain_text("The user decides.")
    expect(console.get_by_role("button", name="Approve")).to_be_hidden()


def test_who_is_too_late_is_told_what_was_decided(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    asked = asking(stack, model, user, Called("pay", {"order": "A1"}))
    (approval,) = asked["approvals"]
    console.goto(f"/console#approvals/{approval['id']}")
    expect(console.get_by_role("button", name="Approve")).to_be_visible()
    answer = httpx.post(
        f"{stack.url}/admin/approvals/{approval['id']}",
        headers=stack.headers("another", admin=True),
        json={"decision": "reject"},
        timeout=None,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    console.get_by_role("button", name="Approve").click()

    expect(console.locator(".facts")).to_contain_text("another")
    expect(console.locator(".approval")).to_contain_text("Rejected")
    expect(console.locator(".approval").get_by_role("alert")).to_contain_text("rejected")


def test_a_waiting_turn_is_listed_as_such(
    console: Page, stack: LocalStack, model: ToldModel, user: str
) -> None:
    asked = asking(stack, model, user, Called("pay", {"order": "A1"}))
    console.get_by_role("button", name="Look again").click()

    waiting = console.get_by_role("region", name="Turns that wait for a decision")
    expect(waiting.get_by_role("link", name=asked["turn"]["id"][-12:])).to_be_visible()


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("light", marks=pytest.mark.at_length("test_console.py looks at it so")),
        "dark",
    ],
)
def test_it_is_for_everybody(
    visit: Enter, stack: LocalStack, model: ToldModel, user: str, scheme: str
) -> None:
    user = user.replace("[", "-").replace("]", "")
    asked = asking(stack, model, user, Called("pay", {"order": "x" * 300}))
    page = visit(color_scheme=scheme).tab()
    sign_in(page, "root", "/console#approvals")
    expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")
    expect(page.get_by_role("status")).to_have_text("Approvals is shown.")
    keeps_nobody_out(page, axe_at=WIDE)
    page.goto(f"/console#approvals/{asked['approvals'][0]['id']}")
    expect(page.locator(".approval")).to_be_visible()
    keeps_nobody_out(page, axe_at=NARROW)
    tab_to(page, ".approval button.main")
    page.keyboard.press("Enter")

    expect(page.locator(".approval")).to_contain_text("Approved")
    keeps_nobody_out(page, axe_at=NARROW)
