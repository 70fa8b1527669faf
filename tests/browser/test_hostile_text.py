"""Text from wherever it can come does nothing but be read."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

from parley_local.stack import LocalStack
from parley_testing.models.server import Called, Said
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, turn
from parley_testing.pages.hostile_text import BIDI, ESCAPES, HOSTILE, HUGE, SCRIPTS, harmless

Enter = Callable[..., Visit]


def test_what_the_model_says_is_only_read(page: Page, model: ToldModel) -> None:
    model.when("be evil", Said(HOSTILE))

    say(page, "be evil")

    shown = turn(page, "be evil")
    expect(shown).to_contain_text("<script>window.owned = 1</script>")
    expect(shown).not_to_contain_text("Working…")
    expect(shown.get_by_role("link", name="six")).to_have_attribute(
        "href", "https://evil.example/pixel.png"
    )
    for link in shown.get_by_role("link").all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    harmless(page)


def test_what_the_user_says_is_only_read(page: Page, model: ToldModel) -> None:
    say(page, HOSTILE)

    expect(page.locator(".said")).to_contain_text("<script>window.owned = 1</script>")
    expect(page.locator(".answer")).to_contain_text("window.owned")
    expect(page.locator(".turn")).not_to_contain_text("Working…")
    harmless(page)


def test_what_a_tool_is_given_and_gives_is_only_read(page: Page, model: ToldModel) -> None:
    title = "".join(SCRIPTS[:3]) + BIDI
    model.when(
        "use a tool",
        Called("add_task", {"title": title, "notes": HOSTILE[:1500], "due_at": None}),
        [Called("</b><script>window.owned=1</script>"[:60], {"x": ESCAPES}, "call_9")],
        Said("done"),
    )

    say(page, "use a tool")

    shown = turn(page, "use a tool")
    expect(shown.locator(".prose")).to_have_text("done")
    shown.locator("summary").first.click()
    expect(shown.locator("pre").first).to_contain_text("<script>window.owned = 1</script>")
    expect(shown.locator("pre").first).to_contain_text("⟨U+202E⟩")
    harmless(page)


def test_names_and_metadata_are_only_read(
    page: Page, stack: LocalStack, user: str, model: ToldModel
) -> None:
    with httpx.Client(
        base_url=stack.url, headers=stack.headers(user), trust_env=False, timeout=None
    ) as client:
        for name in ["".join(SCRIPTS)[:200], HUGE[:200], BIDI + ESCAPES]:
            made = client.post(
                "/sessions",
                json={"name": name, "metadata": {"<img src=x onerror=owned=1>": HOSTILE[:9000]}},
            )
            assert made.status_code == 201, made.text

    page.reload()
    links = page.get_by_role("navigation").get_by_role("link")
    expect(links).to_have_count(3)
    for place in range(3):
        links.nth(place).click()
        expect(links.nth(place)).to_have_attribute("aria-current", "page")
        expect(page.get_by_role("heading", level=1)).not_to_have_text("New conversation")
        harmless(page)
    page.goto("/chat#<img src=x onerror=window.owned=1>")
    page.reload()
    expect(page.get_by_text("There is no such conversation")).to_be_visible()
    harmless(page)


def test_why_a_turn_failed_is_only_read(page: Page, model: ToldModel) -> None:
    from parley_testing.models.server import Raw

    said = b'{"error": {"message": "<img src=x onerror=window.owned=1>", "type": "x"}}'
    model.when("fail evilly", Raw(400, said))

    say(page, "fail evilly")

    expect(turn(page, "fail evilly")).to_contain_text("This failed.")
    harmless(page)
