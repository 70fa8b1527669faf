"""`parley export` and `parley erase`: all that there is of one user."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from parley_cli.connection import as_admin
from parley_cli.consent import Yes, ask_before
from parley_cli.progress import counts_told, progress
from parley_cli.screen import Json, as_json, note, on_terminal, show_fields, show_json
from parley_cli.whole_file import whole_file
from parley_client import Parley
from parley_client.admin_models import Erasure

Person = Annotated[str, typer.Argument(metavar="USER", help="The user's id, as tokens name it.")]


@as_admin
def export(
    parley: Parley,
    user: Person,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there, whole or not at all.")
    ] = None,
) -> None:
    """Write all that there is of a user as JSON lines; `type` says what each is."""
    counts: Counter[str] = Counter()
    with ExitStack() as open_:
        file = sys.stdout if output is None else open_.enter_context(whole_file(output))
        # Where the lines themselves are seen, they are the progress.
        seen = output is None and on_terminal()
        say = (lambda told: None) if seen else open_.enter_context(progress("Exporting"))
        for item in parley.export_user(user):
            # JSON has escapes for what the terminal's encoding may lack.
            file.write(as_json(item, ascii_only=True) + "\n")
            counts[str(item.get("type"))] += 1
            say(counts_told(counts))
        file.flush()
    note(counts_told(counts) + ".")


@as_admin
def erase(
    parley: Parley,
    user: Person,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove all that there is of a user, after asking; nothing brings it back."""
    if not yes:
        consequence = (
            f"All that is kept of {user} will be removed for good: sessions, memory, and rows"
            " in the project's own tables."
        )
        ask_before(consequence, declined="Nothing was removed.")
    total: Erasure | None = None
    try:
        with progress("Erasing") as say:
            for step in parley.erase_user(user):
                total = _sum(total, step) if total else step
                say(counts_told({"sessions": total.sessions, **total.project}))
    finally:
        # What was removed before something failed is gone.
        if total is not None:
            if json:
                show_json(total)
            else:
                show_fields(total, () if total.project else ("project",))


def _sum(one: Erasure, other: Erasure) -> Erasure:
    figures = {
        name: getattr(one, name) + getattr(other, name)
        for name in Erasure.model_fields
        if name not in ("done", "project")
    }
    project = Counter(one.project) + Counter(other.project)
    return other.model_copy(update={**figures, "project": dict(project)})
