"""How a conversation looks: Markdown on a terminal, plain text where it is piped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from parley_cli.clean import clean
from parley_cli.screen import console, on_terminal, show_table, show_text, told
from parley_client.models import TranscriptMessage

if TYPE_CHECKING:
    from rich.markdown import Markdown


def show_reply(content: str) -> None:
    """Print a reply."""
    if not on_terminal():
        show_text(content)
        return
    console().print(rendered(content))


def rendered(content: str) -> Markdown:
    """Make what a terminal shows of a message of the agent's."""
    from rich.markdown import Markdown

    # Links are written out: one that is hidden behind words may lead anywhere.
    return Markdown(clean(content), hyperlinks=False)


def show_history(messages: Iterable[TranscriptMessage]) -> None:
    """Print messages in their order; piped, time, role and content tab-separated."""
    if not on_terminal():
        show_table((), ((each.created_at, each.role, each.content) for each in messages))
        return
    from rich.text import Text

    for message in messages:
        console().print(Text(f"{message.role}, {told(message.created_at)}", style="bold"))
        if message.role == "assistant":
            show_reply(message.content)
        else:
            show_text(message.content)
