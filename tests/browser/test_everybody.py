"""The page is for everybody: keyboards, screen readers, narrow screens, dark rooms."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from parley_testing.models.server import Called, Gate, Raw, Said, Streamed
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, sign_in_here, turn
from parley_testing.pages.page_checks import NARROW, WIDE, fits, keeps_nobody_out, serious, tab_to

Enter = Callable[..., Visit]

TEXT = """\
## A plan

1. **Call** [somebody](https://example.com/) about `this`
2. Rest

```python
print("hello", "to a line that is much longer than a narrow screen is wide, and so is scrolled")
```

| day | what | where | with whom | until when | and why |
|---|---|---|---|---|---|
| Monday | nothing | at home | nobody | noon | because |

- [x] done
- [ ] not yet

> A thought.

שלום עולם, זה משפט בעברית.

مرحبا بالعالم
"""


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("light", marks=pytest.mark.at_length("test_approvals.py looks at it so")),
        "dark",
    ],
)
def test_every_state_fits_and_keeps_nobody_out(
    visit: Enter, model: ToldModel, user: str, scheme: str
) -> None:
    page = visit(color_scheme=scheme).tab()
    page.goto("/chat")
    expect(page.get_by_label("Your name")).to_be_visible()
    keeps_nobody_out(page, axe_at=NARROW)
    sign_in_here(page, re.sub(r"[^\w-]", "-", user))
    expect(page.get_by_role("group", name="Whom do you want to talk to?")).to_be_visible()
    keeps_nobody_out(page, axe_at=WIDE)
    gate = Gate()
    arguments = {"title": "a task", "notes": None, "due_at": None}
    model.when("show all", Called("add_task", arguments), Said(TEXT))
    model.when("fail", Raw(400, b'{"error": {"message": "no", "type": "x"}}'))
    model.when("run", Streamed("half", gate))

    say(page, "show all")
    expect(turn(page, "show all")).to_contain_text("A thought")
    turn(page, "show all").locator("summary").click()
    say(page, "fail")
    expect(turn(page, "fail")).to_contain_text("This failed.")
    say(page, "run")
    expect(turn(page, "run")).to_contain_text("half")
    say(page, "wait")
    expect(turn(page, "wait")).to_contain_text("Waits its turn")
    keeps_nobody_out(page, axe_at=NARROW)
    page.set_viewport_size({"width": NARROW, "height": 800})
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("link", name="show all")).to_be_visible()
    assert serious(page) == []
    fits(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": WIDE, "height": 800})
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert serious(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    gate.open()
    expect(turn(page, "wait")).to_contain_text("You said: wait")


def test_all_can_be_done_with_the_keyboard(visit: Enter, model: ToldModel, user: str) -> None:
    gate = Gate()
    arguments = {"title": "by keys", "notes": None, "due_at": None}
    model.when("with keys", Called("add_task", arguments), Said("Typed."))
    model.when("and stop", Streamed("Going ", gate))
    page = visit().tab()
    page.goto("/chat")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type(user)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()

    page.keyboard.type("with")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Message", exact=True)).to_have_value("with\n")
    page.keyboard.press("Backspace")
    page.keyboard.type(" keys")
    page.keyboard.press("Enter")
    expect(turn(page, "with keys")).to_contain_text("Typed.")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()

    tab_to(page, "summary", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_text('"title": "by keys"').first).to_be_visible()
    tab_to(page, "#message")
    page.keyboard.type("and stop")
    page.keyboard.press("Enter")
    expect(turn(page, "and stop")).to_contain_text("Going")
    tab_to(page, ".state button", back=True)
    page.keyboard.press("Enter")
    expect(turn(page, "and stop")).to_contain_text("Cancelled.")
    gate.open()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()

    tab_to(page, ".tools button", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tab_to(page, "nav a", back=True)
    assert page.evaluate("document.activeElement.matches(':focus-visible')")


def test_text_goes_in_its_own_direction(page: Page, model: ToldModel) -> None:
    model.when("מה נשמע", Said("שלום **לך**\n\nand in English"))

    say(page, "מה נשמע")

    shown = turn(page, "מה נשמע")
    expect(shown.locator(".prose p")).to_have_count(2)
    directions = shown.locator(".prose p").evaluate_all(
        "(all) => all.map((each) => getComputedStyle(each).direction)"
    )
    assert directions == ["rtl", "ltr"]
    said = shown.locator(".said").evaluate("(each) => getComputedStyle(each).direction")
    assert said == "rtl"


def test_who_does_not_see_the_page_is_told_what_happens(page: Page, model: ToldModel) -> None:
    model.when("tell me", Said("It is **told**."))
    model.when("fail me", Raw(400, b'{"error": {"message": "no", "type": "x"}}'))

    say(page, "tell me")
    expect(page.get_by_role("status")).to_have_text("The agent said: It is told.")
    say(page, "fail me")
    expect(page.get_by_role("status")).to_contain_text("This failed.")

    expect(turn(page, "tell me").locator(".answer")).not_to_have_attribute("aria-busy", "true")
    expect(page).to_have_title("tell me · Parley")
    expect(page.get_by_role("region", name="Messages")).to_be_visible()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
