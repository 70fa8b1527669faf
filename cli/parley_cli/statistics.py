"""`parley stats`."""

from __future__ import annotations

from collections.abc import Iterator

from parley_cli.connection import as_admin
from parley_cli.screen import Json, on_terminal, show_fields, show_json, show_table, told
from parley_client import Parley
from parley_client.admin_models import Statistics


@as_admin
def stats(parley: Parley, json: Json = False) -> None:
    """Say how the deployment does. Piped: a figure and its value a line, tab-separated."""
    figures = parley.read_statistics()
    if json:
        show_json(figures)
    elif on_terminal():
        show_table(("", ""), list(in_words(figures)))
    else:
        show_fields(figures)


def in_words(figures: Statistics) -> Iterator[tuple[str, str]]:
    """Yield the figures by names that a person reads."""
    sessions, turns, memory = figures.sessions, figures.turns, figures.memory
    yield (
        "Sessions",
        f"{sessions.active:,} active, {sessions.ended:,} ended, {sessions.escalated:,} escalated",
    )
    yield "Messages a session", f"{figures.messages_per_session:,.1f}"
    yield (
        "Turns begun in the last 24 hours",
        f"{turns.completed:,} completed, {turns.failed:,} failed, {turns.cancelled:,} cancelled, "
        f"{turns.running:,} running, {turns.queued:,} queued, {turns.waiting:,} waiting",
    )
    newest = figures.newest_turns
    yield (
        "Time to a reply",
        f"{_seconds(newest.median_seconds)} in the median, {_seconds(newest.p95_seconds)} at most "
        f"for 95 of 100, of the newest {newest.looked_at:,} of these turns",
    )
    yield "Their tokens", f"{newest.input_tokens:,} sent, {newest.output_tokens:,} received"
    for failed in newest.failures:
        yield "Failed", f"{failed.turns:,} of {failed.agent}: {failed.code}"
    yield "Oldest turn that is open", _seconds(figures.oldest_open_turn_seconds)
    yield "Oldest approval that nobody decided on", _seconds(figures.oldest_approval_seconds)
    yield "Sessions whose turn nobody carries on", f"{figures.waiting_sessions:,}"
    yield (
        "Remembered",
        f"{memory.turns:,} turns, {memory.bytes / 1e6:,.1f} MB; {memory.items_per_session:,.1f} "
        f"items a session, of {memory.sampled_sessions:,} looked at",
    )
    outbox = figures.outbox
    yield (
        "Conversations whose memory is to be removed",
        f"{outbox.waiting:,}, of which {outbox.due:,} are due; "
        f"the oldest since {_seconds(outbox.oldest_due_seconds)}",
    )
    database = figures.database
    yield (
        "Database",
        f"{database.bytes / 1e6:,.1f} MB, {database.connections:,} connections of all programs",
    )
    cleanup = figures.last_cleanup
    yield (
        "Last cleanup",
        "none yet" if cleanup is None else f"{cleanup.outcome}, begun {told(cleanup.started_at)}",
    )


def _seconds(seconds: float | None) -> str:
    return told(None) if seconds is None else f"{seconds:,.1f} s"
