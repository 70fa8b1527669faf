"""How a turn looks while it happens: the text as it is written, and then as Markdown."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self
from uuid import UUID

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from parley_cli.chat_input import unseen
from parley_cli.chat_screen import rendered, show_reply
from parley_cli.clean import clean, clean_line
from parley_cli.errors import CommandFailed
from parley_cli.screen import can_ask, console, on_terminal, show_json, show_text, waiting
from parley_client import (
    MessageCompleted,
    MessageDelta,
    MessageReset,
    Parley,
    ToolCalled,
    ToolReturned,
    TurnEvent,
    TurnResumed,
    TurnStopped,
    TurnWaiting,
)

_WAITING = "Waiting for the reply …"


def show_turn(
    parley: Parley,
    session_id: UUID,
    events: Generator[TurnEvent, None, None],
    screen: TurnScreen,
) -> None:
    """Show a turn until it ends.

    Raises:
        CommandFailed: It ended without a reply.
        ParleyError: The API refused, or could not be reached.
    """
    last = None
    with closing(events), screen:
        for last in events:
            screen.show(last)
    if not (isinstance(last, TurnWaiting) and can_ask()):  # who can be asked is, by who called
        _check(last)
    if screen.unread is not None:
        reply = parley.read_turn(session_id, screen.unread).reply
        if reply is not None:
            show_reply(reply.content)


def show_events(events: Generator[TurnEvent, None, None]) -> None:
    """Print each event as JSON, until the turn ends.

    Raises:
        CommandFailed: It ended without a reply.
        ParleyError: The API refused, or could not be reached.
    """
    last = None
    with closing(events):
        for last in events:
            show_json(last)
    _check(last)


def _check(last: TurnEvent | None) -> None:
    if isinstance(last, TurnStopped):
        raise CommandFailed(last.detail)
    if isinstance(last, TurnWaiting):
        ids = ", ".join(str(each.approval_id) for each in last.approvals)
        raise CommandFailed(
            f"The turn waits for a decision: `parley approvals approve` or `reject` {ids}."
        )


class TurnScreen:
    """Shows events: on a terminal each as it comes, piped only the reply.

    Text that is being written may become void, so it stands below all else and goes when its
    message is whole. Of a long one the end is shown.

    Attributes:
        turn_id: The turn, from its first event on.
        unread: The turn, if its reply is too long for an event.
        tools: How many calls of tools were told of.
        waits: What the turn waits for, if it does.
    """

    def __init__(self) -> None:
        self.turn_id: UUID | None = None
        self.unread: UUID | None = None
        self.tools = 0
        self.waits: TurnWaiting | None = None
        self._written: dict[int, str] = {}  # by step
        # What is drawn: another thread does that, at any time.
        self._text = ""
        self._spinner = Spinner("dots", Text(_WAITING))
        self._shown = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if on_terminal():
            self._shown.enter_context(unseen())
            self._live = self._shown.enter_context(
                Live(
                    self,
                    console=console(),
                    refresh_per_second=12.5,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
            )
        else:
            self._shown.enter_context(waiting(_WAITING))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shown.close()
        if self._live is not None and self._text:
            # What was written before it ended is all that there is of it.
            self._live.console.print(Text(f"{clean(self._text).rstrip()} …", style="dim"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is being written, or what is waited for."""
        text = self._text
        if not text:
            yield self._spinner
            return
        height, width = max(1, console.height - 2), options.max_width
        end = clean(text[-height * width :])
        yield from Text(end).wrap(console, width)[-height:]

    def show(self, event: TurnEvent) -> None:
        """Show an event."""
        self.turn_id = event.turn_id
        self.waits = event if isinstance(event, TurnWaiting) else None
        match event:
            case MessageDelta():
                self._write(event.step, self._written.get(event.step, "") + event.text)
            case MessageReset():
                self._write(event.step, "")
            case MessageCompleted():
                self._complete(event)
            case ToolCalled():
                self.tools += 1
                self._spinner.update(text=Text(f"{clean_line(event.name)} …"))
                indent = "  " if event.within is not None else ""
                self._tell(f"{indent}→ {event.name} {event.arguments}")
            case ToolReturned():
                self._spinner.update(text=Text(_WAITING))
            case TurnResumed():
                self._tell("It goes on.")

    def _write(self, step: int, text: str) -> None:
        self._written[step] = text
        self._text = "\n\n".join(filter(None, self._written.values()))

    def _complete(self, message: MessageCompleted) -> None:
        is_reply = message.message_id is not None
        whole = message.text if message.text is not None or is_reply else self._text
        self._written, self._text = {}, ""
        if whole is None:
            self.unread = message.turn_id
        elif self._live is not None:
            # One write takes the raw text away and puts this there, so that nothing flickers.
            self._live.console.print(rendered(whole))
        elif is_reply:
            show_text(whole)

    def _tell(self, line: str) -> None:
        if self._live is not None:
            text = Text(clean_line(line), style="dim")
            self._live.console.print(text, no_wrap=True, overflow="ellipsis")
