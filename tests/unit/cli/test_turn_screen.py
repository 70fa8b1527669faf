"""What stands on the terminal while a turn happens, and after it."""

from __future__ import annotations

import io
import re
import time
from typing import Any

import pytest
from rich.console import Console

from parley_cli.turn_screen import TurnScreen
from parley_client.events import KINDS, TurnEvent
from parley_testing.streams.event_stream import Event, delta, numbered, said, started
from parley_testing.waiting import HANG_SECONDS

_CODE = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Terminal:
    """Shows what is written to it, as far as lines are written over; it never scrolls."""

    def __init__(self) -> None:
        self.file = io.StringIO()

    def lines(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for number, code, home, feed, text in _CODE.findall(self.file.getvalue()):
            match code:
                case "A":
                    row -= int(number or 1)
                case "K":
                    assert number == "2"
                    lines[row] = ""
            if home:
                column = 0
            elif feed:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif text:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + text + line[column + len(text) :]
                column += len(text)
        return [line.rstrip() for line in lines]

    def text(self) -> str:
        return "\n".join(self.lines()).strip()

    def wait_for(self, end: str) -> None:
        """Wait until this is shown last, which another thread does."""
        deadline = time.monotonic() + HANG_SECONDS
        while not self.text().endswith(end):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.01)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    shown = Terminal()

    def console() -> Console:
        return Console(
            file=shown.file, force_terminal=True, width=40, height=10, markup=False,
            emoji=False, highlight=False, legacy_windows=False, _environ={"TERM": "xterm"},
        )  # fmt: skip

    monkeypatch.setattr("parley_cli.turn_screen.on_terminal", lambda: True)
    monkeypatch.setattr("parley_cli.turn_screen.console", console)
    return shown


def typed(*happened: tuple[str, Event]) -> list[TurnEvent]:
    return [KINDS[event["type"]].model_validate(event) for event in numbered(*happened)]


def called(name: str, arguments: str, within: str | None = None) -> tuple[str, Event]:
    data = {"call_id": "c", "name": name, "arguments": arguments, "within": within}
    return "tool.called", data


def returned() -> tuple[str, Event]:
    return "tool.returned", {"call_id": "c", "name": "n", "output": "ok", "within": None}


def shown_after(terminal: Terminal, *happened: tuple[str, Event]) -> str:
    with TurnScreen() as screen:
        for event in typed(*happened):
            screen.show(event)
    return terminal.text()


def test_text_is_shown_as_it_is_written_and_then_as_markdown(terminal: Terminal) -> None:
    first, hel, lo, whole = typed(started(), delta("**Hel"), delta("lo**"), said("**Hello**"))
    with TurnScreen() as screen:
        screen.show(first)
        screen.show(hel)
        terminal.wait_for("**Hel")
        screen.show(lo)
        terminal.wait_for("**Hello**")
        screen.show(whole)

    assert terminal.text() == "Hello"


def test_of_a_long_text_the_end_is_shown(terminal: Terminal) -> None:
    with TurnScreen() as screen:
        for event in typed(started(), *(delta(f"line {n}\n\n") for n in range(100))):
            screen.show(event)
        terminal.wait_for("line 99")
        assert "line 0" not in terminal.lines()

    # What there was of it is shown when it is over.
    assert "line 0" in terminal.lines()


def test_text_that_became_void_does_not_stay(terminal: Terminal) -> None:
    void = [started(), delta("Helo"), ("message.reset", {"step": 1})]

    assert shown_after(terminal, *void, delta("Hello"), said("Hello")) == "Hello"


def test_a_message_before_the_reply_is_shown_too(terminal: Terminal) -> None:
    first = ("message.completed", {"step": 1, "text": "Let me see.", "message_id": None})

    text = shown_after(
        terminal, started(), delta("Let me see."), first, delta("5", 2), said("5", 2)
    )

    assert text == "Let me see.\n5"


def test_a_message_whose_text_is_too_long_for_an_event_is_what_was_written(
    terminal: Terminal,
) -> None:
    long = ("message.completed", {"step": 1, "text": None, "message_id": None})

    assert shown_after(terminal, started(), delta("so long"), long) == "so long"


def test_tools_are_a_line_each(terminal: Terminal) -> None:
    long = '{"title": "' + "x" * 100 + '"}'

    text = shown_after(
        terminal, started(), called("add", long), returned(), called("in\nner\x1b[2J", "{}", "c")
    )

    assert text.splitlines() == [f"→ add {long[:33]}…", "  → in ner\ufffd[2J {}"]


def test_what_was_written_when_it_ended_stays(terminal: Terminal) -> None:
    assert shown_after(terminal, started(), delta("Hel"), delta("lo")) == "Hello …"


def test_being_carried_on_is_told(terminal: Terminal) -> None:
    text = shown_after(terminal, started(), ("turn.resumed", {"attempt": 2}), said("Hello"))

    assert text == "It goes on.\nHello"


def test_text_does_not_steer_the_terminal(terminal: Terminal) -> None:
    nasty = "\x1b[2J\x9b31m\x1b]0;title\x07"

    shown_after(terminal, started(), delta(nasty), called(nasty, nasty), said(nasty))

    assert "title" in terminal.text()
    assert not re.search(r"\x1b\[2J|\x9b|\x1b\]|\x07", terminal.file.getvalue())


def test_piped_the_reply_alone_is_printed(capsys: pytest.CaptureFixture[Any]) -> None:
    before = ("message.completed", {"step": 1, "text": "Let me see.", "message_id": None})
    with TurnScreen() as screen:
        for event in typed(
            started(),
            delta("Let me"),
            before,
            called("add", "{}"),
            delta("**5", 2),
            said("**5**", 2),
        ):
            screen.show(event)

    assert capsys.readouterr().out == "**5**\n"
