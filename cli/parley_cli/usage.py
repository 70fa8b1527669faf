"""`parley usage`: what a user's turns took, and cost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from parley_cli.connection import as_user
from parley_cli.screen import Json, note, on_terminal, show_json, show_table
from parley_client import Parley
from parley_client.models import BudgetLimit, Usage, UsageReport


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day, such as 2026-12-24.") from None


First = Annotated[
    date | None,
    typer.Option(
        "--from",
        parser=_day,
        metavar="DAY",
        help="The first day (UTC); that of this month if left out.",
    ),
]
Last = Annotated[
    date | None,
    typer.Option("--to", parser=_day, metavar="DAY", help="The last day, included; else today."),
]


class By(StrEnum):
    """What is told apart."""

    day = "day"
    agent = "agent"
    model = "model"


@as_user
def usage(
    parley: Parley,
    first: First = None,
    last: Last = None,
    by: Annotated[By, typer.Option("--by", help="What to tell apart.")] = By.day,
    json: Json = False,
) -> None:
    """Say what your turns took, and cost, on some days.

    Piped: name, model calls, tokens sent, cached of them, received, reasoning of them, and US
    dollars, tab-separated; empty is what is not known.
    """
    report = parley.read_usage(start=first, end=last, group_by=by.value)
    show_usage(report, by.value, json=json)
    if not json and on_terminal():
        for each in report.limits:
            near = "Nearly all of it is used. " if each.near else ""
            note(
                f"Of {each.budget:,} {each.unit} ({each.limit}) {each.used:,} are used."
                f" {near}It renews at {each.renews_at:%Y-%m-%d %H:%M} UTC."
            )


def show_usage(report: UsageReport, by: str, *, json: bool) -> None:
    """Print what was spent: a line for each group and, on a terminal, the sum."""
    if json:
        show_json(report)
        return
    rows = [_row(group.name, group.usage) for group in report.items]
    if on_terminal():
        rows.append(_row("in all", report.total))
    show_table(
        (by, "calls", "sent", "cached", "received", "reasoning", "US dollars"),
        [["" if cell is None else cell for cell in row] for row in rows],
    )
    if not on_terminal():
        return
    if report.left_out:
        note(f"{report.left_out:,} further groups are in the sum only.")
    if untold := report.total.calls_without_tokens:
        note(f"Of {untold:,} calls, the servers told no tokens: no sum has them.")
    if unpriced := report.total.calls_without_cost:
        note(f"Of {unpriced:,} calls, the price is not known: no sum of dollars has them.")


def show_limits(limits: Iterable[BudgetLimit]) -> None:
    """Print budgets: a line for each limit."""
    show_table(
        ("limit", "budget", "used", "renews"),
        [(each.limit, each.budget, each.used, each.renews_at) for each in limits],
    )


def _row(name: str, spent: Usage) -> list[object]:
    return [
        name or "(not known)",
        spent.model_calls,
        spent.input_tokens,
        spent.cached_tokens,
        spent.output_tokens,
        spent.reasoning_tokens,
        None if spent.cost_usd is None else f"{spent.cost_usd:f}",
    ]
