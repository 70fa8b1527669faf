"""What is typed into a chat, line by line."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator

import typer

from parley_cli.screen import can_ask


class Interrupted:
    """Ctrl-C was pressed instead of a line."""


def lines(prompt: Callable[[], str]) -> Iterator[str | Interrupted]:
    """Give each line until the end of the input; the prompt is shown to a person only.

    Raises:
        typer.BadParameter: What is piped in is not UTF-8 text.
    """
    if not can_ask():
        yield from _piped()
        return
    if importlib.util.find_spec("readline"):
        import readline  # noqa: F401  (input() has editing and a history then)
    while True:
        try:
            yield input(prompt())
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            yield Interrupted()
        except UnicodeDecodeError:
            yield ""


def _piped() -> Iterator[str]:
    for line in sys.stdin.buffer:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise typer.BadParameter("Standard input is not UTF-8 text.") from error
