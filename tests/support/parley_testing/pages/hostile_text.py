"""Text that would do something if a page did more than show it, and whether it has."""

from __future__ import annotations

from playwright.sync_api import Page, expect

SCRIPTS = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "<svg/onload=window.owned=1>",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "<style>body{display:none}</style>",
    "<form action=https://evil.example><button>go</button></form>",
    "<base href=https://evil.example>",
    "<math><mi//xlink:href='data:x,<script>window.owned=1</script>'>",
    "<details open ontoggle=window.owned=1>",
    "<a href='java\tscript:window.owned=1'>x</a>",
    '"><b onmouseover=window.owned=1>',
    "</div></li></ol><script>window.owned=1</script>",
]
LINKS = [
    "[one](javascript:window.owned=1)",
    "[two](JaVaScRiPt:window.owned=1)",
    "[three](data:text/html,<script>window.owned=1</script>)",
    "[four](vbscript:x)",
    "[five](&#106;avascript:window.owned=1)",
    "<javascript:window.owned=1>",
    "![six](https://evil.example/pixel.png)",
    "![seven](javascript:window.owned=1)",
    "[eight](//evil.example)",
    "[nine]: javascript:window.owned=1\n\n[nine]",
]
HUGE = "W" * 5000
BIDI = "\u202egnp.exe\u2066 \u200f abc"
ESCAPES = "\x1b[2J\x1b]8;;https://evil.example\x07red\x1b[0m \x9b31m"
HOSTILE = "\n\n".join([*SCRIPTS, *LINKS, HUGE, BIDI, ESCAPES])


def harmless(page: Page) -> None:
    """Nothing ran, nothing was made of text, nothing is wider than the page."""
    assert page.evaluate("window.owned") is None
    assert page.evaluate("window.faults") == []
    made = page.locator(
        "#page :is(script, img, iframe, svg:not(.drawn), style, base, math, object, embed, video,"
        " audio)"
    )
    expect(made).to_have_count(0)
    addresses: list[str] = page.evaluate(
        "[...document.querySelectorAll('.turn a[href]')].map((link) => link.protocol)"
    )
    assert set(addresses) <= {"https:", "http:", "mailto:"}
    handlers = page.evaluate(
        "[...document.querySelectorAll('#page *')].flatMap((element) =>"
        " [...element.attributes].map((each) => each.name)).filter((name) => name.startsWith('on'))"
    )
    assert handlers == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).display") != "none"
