"""`parley cleanup`."""

from __future__ import annotations

from typing import Annotated

import typer

from parley_cli.cleanup_report import Total, show_report, show_sessions
from parley_cli.connection import as_admin
from parley_cli.durations import seconds_of
from parley_cli.progress import progress
from parley_cli.screen import Json, on_terminal
from parley_client import Parley


@as_admin
def cleanup(
    parley: Parley,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go, session by session.")
    ] = False,
    older_than: Annotated[
        int | None,
        typer.Option(
            "--older-than",
            parser=seconds_of,
            metavar="DURATION",
            help="Closed and empty sessions without activity for so long (90m, 12h, 7d); else the"
            " deployment's ages.",
        ),
    ] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="Only this platform's.")
    ] = None,
    name_prefix: Annotated[
        str | None, typer.Option("--name-prefix", help="Only those whose name begins so.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    json: Json = False,
) -> None:
    """Remove what is past its time, and say what that was.

    Status 1 if something could not be removed; the rest is, all the same. Piped, the first column
    says what a line is: `session` (of a dry run: kind, id, user, name, last activity, rows, items,
    bytes), `total` (kind, found, rows, items, bytes, failures) or `failure` (kind, subject,
    reason).
    """
    steps = parley.clean_up(
        dry_run=dry_run,
        older_than_seconds=older_than,
        platform=platform,
        name_prefix=name_prefix,
        user_id=user,
    )
    total = Total(keeps_sessions=json or on_terminal())
    try:
        with progress("Looking" if dry_run else "Cleaning up") as say:
            for report in steps:
                total.add(report)
                say(total.told())
                if not total.keeps_sessions:
                    show_sessions(report.sessions)
    finally:
        # What was done before something failed was done.
        if total.report is not None:
            show_report(total.report, json=json)
    if total.report is not None and total.failures:
        raise typer.Exit(1)
