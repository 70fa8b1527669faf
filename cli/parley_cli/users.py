"""`parley users`: what administrators do about the ids that tokens give users."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer

from parley_cli.connection import as_admin
from parley_cli.consent import Yes, ask_before
from parley_cli.errors import CommandFailed
from parley_cli.progress import counts_told, progress
from parley_cli.screen import Json, note, on_terminal, show_fields, show_json, show_table
from parley_cli.sessions import HEADINGS, Limit, columns
from parley_cli.usage import First, Last, show_limits, show_usage
from parley_client import Parley
from parley_client.admin_models import DeploymentBudget, Renaming, UserBudget

app = typer.Typer(
    help="Users, by the ids that tokens give them; for administrators.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@as_admin
def sessions(
    parley: Parley,
    user: Annotated[str, typer.Argument(metavar="USER", help="The id as tokens name it.")],
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List a user's sessions, newest activity first; `parley escalations show` reads one of them.

    Piped: name, agent, status, time of the last activity and id, tab-separated.
    """
    found = parley.list_all_sessions(user_id=user, page_size=min(limit + 1, 100))
    shown = islice(found, limit)
    if json:
        for session in shown:
            show_json(session)
        return
    show_table(HEADINGS, map(columns, shown))
    if on_terminal() and next(found, None) is not None:
        note("There are more: --limit.")


class UsersBy(StrEnum):
    """What is told apart."""

    day = "day"
    agent = "agent"
    model = "model"
    user = "user"


@app.command("usage")
@as_admin
def all_usage(
    parley: Parley,
    user: Annotated[
        str | None, typer.Argument(metavar="USER", help="Whose; all users' if left out.")
    ] = None,
    first: First = None,
    last: Last = None,
    by: Annotated[UsersBy, typer.Option("--by", help="What to tell apart.")] = UsersBy.user,
    json: Json = False,
) -> None:
    """Say what users' turns took, and cost, on some days; the dearest first.

    Piped: as `parley usage`.
    """
    report = parley.read_all_usage(start=first, end=last, group_by=by.value, user_id=user)
    show_usage(report, by.value, json=json)


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no amount, such as 12.50.") from None
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is no amount, such as 12.50.")
    return amount


@app.command()
@as_admin
def budget(
    parley: Parley,
    user: Annotated[
        str | None,
        typer.Argument(
            metavar="USER", help="The id as tokens name it; if left out, all users together."
        ),
    ] = None,
    day: Annotated[
        int | None,
        typer.Option("--tokens-per-day", min=0, help="In a day of UTC; with 0 nothing may begin."),
    ] = None,
    month: Annotated[
        int | None, typer.Option("--tokens-per-month", min=0, help="The same, in a month.")
    ] = None,
    usd_day: Annotated[
        Decimal | None,
        typer.Option("--usd-per-day", parser=_usd, metavar="USD", help="US dollars in a day."),
    ] = None,
    usd_month: Annotated[
        Decimal | None,
        typer.Option("--usd-per-month", parser=_usd, metavar="USD", help="The same, in a month."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Let the user spend what the settings say again.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what a user may spend and has spent, or set it; what is left out is as in the settings.

    What all users together may spend is shown only: the settings say it. What is set goes at once,
    for turns that run too. Piped: limit, what may be spent, what is used, and when the next day or
    month begins, tab-separated.
    """
    own: dict[str, Any] = {
        "tokens_per_day": day,
        "tokens_per_month": month,
        "usd_per_day": usd_day,
        "usd_per_month": usd_month,
    }
    if user is None:
        if remove or own != dict.fromkeys(own):
            raise typer.BadParameter("The settings say it.", param_hint="USER")
        _show_budget(parley.read_deployment_budget(), "all users together", json=json)
        return
    if remove and own != dict.fromkeys(own):
        raise typer.BadParameter("Either --remove or a budget.", param_hint="--remove")
    if remove:
        budget = parley.remove_user_budget(user)
    elif own != dict.fromkeys(own):
        budget = parley.set_user_budget(user, **own)
    else:
        budget = parley.read_user_budget(user)
    _show_budget(budget, "this user", json=json)


def _show_budget(budget: UserBudget | DeploymentBudget, whose: str, *, json: bool) -> None:
    if json:
        show_json(budget)
        return
    show_limits(budget.limits)
    if not budget.limits:
        note(f"Nothing bounds what {whose} may spend.")


@app.command()
@as_admin
def rename(
    parley: Parley,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The id as tokens named it.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The id as tokens name it now.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put all that there is of a user under another id; safe to repeat."""
    if not yes:
        consequence = (
            f"All that is kept of {old} will be of {new}: sessions, memory, and rows in the"
            " project's own tables."
        )
        ask_before(consequence, declined="Nothing was renamed.")
    total: Renaming | None = None
    try:
        with progress("Renaming") as say:
            for step in parley.rename_user(old, new):
                total = _sum(total, step) if total else step
                say(counts_told({"sessions": total.sessions, **total.project}))
    finally:
        # What was renamed before something failed is.
        if total is not None:
            if json:
                show_json(total)
            else:
                show_fields(total, () if total.project else ("project",))
    if total is not None and total.waiting:
        if not total.done:
            raise CommandFailed(
                f"{total.waiting:,} sessions have a turn that is open, or waits for a decision."
                " They are left, with all that is not of a session; rename again when it is over."
            )
        note(f"{total.waiting:,} sessions have an open turn. Rename again when they are over.")


def _sum(one: Renaming, other: Renaming) -> Renaming:
    # Those that wait are met again by each step.
    figures = {name: getattr(one, name) + getattr(other, name) for name in _ADDED}
    project = Counter(one.project) + Counter(other.project)
    return other.model_copy(update={**figures, "project": dict(project)})


_ADDED = ("sessions", "items")
