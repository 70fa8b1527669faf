"""The reports of cleanup's steps, added up and shown."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from parley_cli.clean import clean_line
from parley_cli.screen import console, on_terminal, show_json, show_table
from parley_client.admin_models import CleanupReport, Counted, ListedSession

_FIGURES = tuple(Counted.model_fields)
_NOTHING = Counted(found=0, rows=0, items=0, bytes=0, failures=0)


class Total:
    """Adds reports up.

    Attributes:
        report: The sum; None before the first.
        keeps_sessions: Whether the sum holds the sessions, which may be many.
    """

    report: CleanupReport | None = None

    def __init__(self, *, keeps_sessions: bool) -> None:
        self.keeps_sessions = keeps_sessions

    @property
    def failures(self) -> int:
        """How much could not be cleaned up, also where the reports name only some of it."""
        if self.report is None:
            return 0
        return sum(count.failures for count in self.report.kinds.values())

    def add(self, step: CleanupReport) -> None:
        """Add the report of the next step."""
        if not self.keeps_sessions:
            step = step.model_copy(update={"sessions": ()})
        if (so_far := self.report) is None:
            self.report = step
            return
        self.report = step.model_copy(
            update={
                "seconds": so_far.seconds + step.seconds,
                "kinds": {
                    kind: _sum(so_far.kinds.get(kind, _NOTHING), step.kinds.get(kind, _NOTHING))
                    for kind in so_far.kinds | step.kinds
                },
                "failures": so_far.failures + step.failures,
                "sessions": so_far.sessions + step.sessions,
            }
        )

    def told(self) -> str:
        """Say in a few words how far it has got."""
        if self.report is None:
            return ""
        kinds = self.report.kinds.items()
        return ", ".join(f"{count.found:,} {_words(kind)}" for kind, count in kinds if count.found)


def show_report(report: CleanupReport, *, json: bool) -> None:
    """Print a report; piped, its sessions have been printed as they came."""
    if json:
        show_json(report)
        return
    if on_terminal():
        if report.sessions:
            show_sessions(report.sessions)
            typer.echo()
        rows = [[_words(kind), *_figures(count)] for kind, count in report.kinds.items()]
        show_table(["would go" if report.dry_run else "gone", *_FIGURES], rows)
        done = "all" if report.done else "not all"
        console().print(f"{report.seconds:.1f} seconds, {done} done.")
    else:
        rows = [["total", kind, *_figures(count)] for kind, count in report.kinds.items()]
        show_table((), rows)
    for failure in report.failures:
        words = ("failure", failure.kind, failure.subject, failure.reason)
        typer.echo("\t".join(map(clean_line, words)))


def show_sessions(sessions: Iterable[ListedSession]) -> None:
    """Print the sessions that a dry run found."""
    headings = ("kind", "session", "user", "name", "last activity", "rows", "items", "bytes")
    # Piped, other lines follow, which this tells them from.
    first = () if on_terminal() else ("session",)
    rows = (
        (
            *first,
            session.kind,
            session.session_id,
            session.user_id,
            session.name,
            session.last_activity_at,
            session.rows,
            session.items,
            session.bytes,
        )
        for session in sessions
    )
    show_table(headings, rows)


def _figures(count: Counted) -> list[int]:
    return [getattr(count, name) for name in _FIGURES]


def _sum(one: Counted, other: Counted) -> Counted:
    return Counted(**{name: getattr(one, name) + getattr(other, name) for name in _FIGURES})


def _words(kind: str) -> str:
    return kind.replace("_", " ")
