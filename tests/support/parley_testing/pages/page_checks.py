"""Whether a page is for everybody: by axe-core, by its width, by the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from playwright.sync_api import CDPSession, Page

from parley_testing.run.at_length import AT_LENGTH

AXE = Path(__file__).parents[3] / "browser" / "vendor" / "axe.min.js"
NARROW, WIDE = WIDTHS = (360, 1440)

_sessions: WeakKeyDictionary[Page, CDPSession] = WeakKeyDictionary()


def keeps_nobody_out(page: Page, *, axe_at: int) -> None:
    """It fits at each width, and axe-core finds nothing: at one of them, at length at each.

    Args:
        page: Which.
        axe_at: The width at which `make test` has axe-core look, which costs as much as a visit.
    """
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        fits(page)
        if AT_LENGTH or width == axe_at:
            assert serious(page) == [], f"at a width of {width}"


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps people out, with where it is."""
    # As the browser's own, and not as the page's: its policy stays as it is.
    session = _sessions.get(page)
    if session is None:
        session = _sessions[page] = page.context.new_cdp_session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})
    where = {"contextId": world["executionContextId"]}
    there = session.send("Runtime.evaluate", {"expression": "typeof axe", **where})
    if there["result"]["value"] == "undefined":  # it is the document's, as long as that is there
        session.send("Runtime.evaluate", {"expression": AXE.read_text("utf-8"), **where})
    found: dict[str, Any] = session.send(
        "Runtime.evaluate",
        {
            "expression": "axe.run(document, {resultTypes: ['violations']})",
            "awaitPromise": True,
            "returnByValue": True,
            **where,
        },
    )
    violations = found["result"]["value"]["violations"]
    assert found["result"]["value"]["testEngine"]["name"] == "axe-core"
    return [
        f"{each['id']} ({each['impact']}): {[node['html'][:200] for node in each['nodes']]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def fits(page: Page) -> None:
    """Nothing is wider than the page, neither as a whole nor in its parts."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wide = page.evaluate(
        "[...document.querySelectorAll('main, header, .scroll, .composer, .side, section, form')]"
        ".filter((part) => part.getBoundingClientRect().width > 0"
        " && part.scrollWidth > part.clientWidth + 1).map((part) => part.className)"
    )
    assert wide == []


def tab_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"the keyboard does not come to {selector}")
