"""`parley approvals`: what agents ask people for, before they do it."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from parley_cli.clean import clean_line
from parley_cli.connection import as_user
from parley_cli.errors import CommandFailed
from parley_cli.screen import Json, note, show_json, show_table
from parley_cli.sessions import Limit
from parley_client import Parley
from parley_client.models import ApprovalStatus, DecidedApproval, Decision

app = typer.Typer(
    help="Calls of tools that somebody has to approve before they are made.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ApprovalId = Annotated[UUID, typer.Argument(metavar="APPROVAL_ID", help="Its id.")]
All = Annotated[bool, typer.Option("--all", help="Those of all users; for administrators.")]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why; the agent is told it of what is rejected.")
]


@app.command("list")
@as_user
def list_(
    parley: Parley,
    status: Annotated[
        ApprovalStatus | None, typer.Option("--status", help="Only those of this status.")
    ] = None,
    limit: Limit = 20,
    everybody: All = False,
    json: Json = False,
) -> None:
    """List them, newest first. Piped: id, status, tool, arguments and when it expires."""
    size = min(limit, 100)
    found = (
        parley.list_all_approvals(status=status, page_size=size)
        if everybody
        else parley.list_approvals(status=status, page_size=size)
    )
    shown = islice(found, limit)
    if json:
        for each in shown:
            show_json(each)
        return
    rows = ((a.id, a.status, a.tool, clean_line(a.arguments), a.expires_at) for a in shown)
    show_table(("id", "status", "tool", "arguments", "expires"), rows)


@app.command()
@as_user
def show(parley: Parley, approval: ApprovalId, everybody: All = False, json: Json = False) -> None:
    """Show one: the call, who may decide, and what was decided. Piped: name and value."""
    read = parley.read_any_approval if everybody else parley.read_approval
    found = read(approval)
    if json:
        show_json(found)
        return
    show_table(("", ""), _told(found))


@app.command()
@as_user
def approve(
    parley: Parley,
    approval: ApprovalId,
    reason: Reason = None,
    arguments: Annotated[
        str | None,
        typer.Option(
            "--arguments", help="JSON that the tool is called with instead, if it may be."
        ),
    ] = None,
    everybody: All = False,
) -> None:
    """Let the call be made; its turn goes on when nothing else is to be decided."""
    _decide(parley, approval, "approve", reason, _object(arguments), everybody=everybody)


@app.command()
@as_user
def reject(
    parley: Parley, approval: ApprovalId, reason: Reason = None, everybody: All = False
) -> None:
    """Have the call not made; the agent is told so, and goes on without it."""
    _decide(parley, approval, "reject", reason, None, everybody=everybody)


def _decide(
    parley: Parley,
    approval: UUID,
    decision: Decision,
    reason: str | None,
    arguments: dict[str, Any] | None,
    *,
    everybody: bool,
) -> None:
    decide = parley.decide_any_approval if everybody else parley.decide_approval
    decided = decide(approval, decision, reason=reason, arguments=arguments)
    note(f"{clean_line(decided.tool)} is {decided.status}.")


def _object(arguments: str | None) -> dict[str, Any] | None:
    if arguments is None:
        return None
    try:
        read = json.loads(arguments)
    except ValueError as error:
        raise CommandFailed(f"--arguments is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise CommandFailed("--arguments is not a JSON object.")
    return read


def _told(found: DecidedApproval) -> list[tuple[str, object]]:
    return [
        ("id", found.id),
        ("session", found.session_id),
        ("turn", found.turn_id),
        ("tool", found.tool),
        ("arguments", clean_line(found.arguments)),
        ("who decides", clean_line(found.decider)),
        ("arguments may be changed", "yes" if found.editable else "no"),
        ("status", found.status),
        ("called with instead", clean_line(found.edited_arguments or "")),
        ("reason", clean_line(found.reason or "")),
        ("expires", found.expires_at),
        ("decided", found.decided_at or ""),
    ]
