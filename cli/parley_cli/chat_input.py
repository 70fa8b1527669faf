"""What is typed into a chat: a message, or a command that begins with a slash.

On a terminal Enter sends, Alt-Enter begins another line, and what is pasted stays one message.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from parley_cli.screen import can_ask, on_terminal

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.data_structures import Size

Complete = Callable[[str], Iterable[str]]


class Interrupted:
    """Ctrl-C was pressed instead of a line."""


def lines(prompt: Callable[[], str], complete: Complete) -> Iterator[str | Interrupted]:
    """Yield each message until the end of the input; the prompt is shown to a person only.

    Args:
        prompt: What stands before what is typed.
        complete: Gives what may be meant by what was typed so far, each whole.

    Raises:
        typer.BadParameter: What is piped in is not UTF-8 text.
    """
    if not can_ask():
        yield from _piped()
        return
    typed = _session(complete) if on_terminal() else None
    while True:
        try:
            yield input(prompt()) if typed is None else typed.prompt(prompt())
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            yield Interrupted()
        except UnicodeDecodeError:
            yield ""


@contextmanager
def unseen() -> Iterator[None]:
    """Let what is typed meanwhile wait for the next prompt, and not stand in what is shown.

    Ctrl-C stays what it is.
    """
    if not can_ask():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _session(complete: Complete) -> PromptSession[str]:
    """Make what reads from the terminal; what was said before is an arrow key away."""
    # Only a conversation pays for its import.
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output.vt100 import Vt100_Output
    from prompt_toolkit.shortcuts import CompleteStyle

    class Meant(Completer):
        def get_completions(
            self, document: Document, complete_event: CompleteEvent
        ) -> Iterable[Completion]:
            typed = document.text_before_cursor
            return (Completion(each, -len(typed)) for each in complete(typed))

    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return PromptSession(
        multiline=True,
        key_bindings=keys,
        completer=Meant(),
        complete_style=CompleteStyle.READLINE_LIKE,
        complete_while_typing=False,
        # Terminals that do not say where their cursor is would be warned of.
        output=Vt100_Output(sys.stdout, _size, term=os.environ.get("TERM"), enable_cpr=False),
    )


def _size() -> Size:
    from prompt_toolkit.data_structures import Size

    columns, rows = shutil.get_terminal_size()
    return Size(rows=rows, columns=columns)


def _piped() -> Iterator[str]:
    for line in sys.stdin.buffer:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise typer.BadParameter("Standard input is not UTF-8 text.") from error
