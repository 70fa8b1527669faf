"""What commands print: tables on a terminal, tab-separated lines where it is piped, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from parley_cli.clean import clean, clean_json, clean_line
from parley_cli.table import console as console
from parley_cli.table import show_rows
from parley_cli.table import told as told

if TYPE_CHECKING:
    pass

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def on_terminal() -> bool:
    """Return whether what is printed goes to a terminal."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Return whether a person is there to type."""
    return sys.stdin.isatty()


def show_text(text: str) -> None:
    """Print text that came from elsewhere."""
    typer.echo(clean(text))


def note(text: str) -> None:
    """Say something beside the output, to a person."""
    typer.echo(clean(text), err=True)


def show_json(value: BaseModel | dict[str, Any]) -> None:
    """Print a value as one line of JSON."""
    typer.echo(as_json(value, ascii_only=not (sys.stdout.encoding or "").lower().startswith("utf")))


def as_json(value: BaseModel | dict[str, Any], *, ascii_only: bool = False) -> str:
    """Return a value as one line of JSON."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return clean_json(json.dumps(plain, ensure_ascii=ascii_only))


def show_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: as a table, or piped as they come, tab-separated and without the headings."""
    if not on_terminal():
        for row in rows:
            typer.echo("\t".join(clean_line(_plain(cell)) for cell in row))
        return
    show_rows(headings, list(rows))


def show_fields(
    value: BaseModel | dict[str, Any],
    without: Collection[str] = (),
    more: Iterable[tuple[str, object]] = (),
) -> None:
    """Print a value's fields, one a line; those inside others as `outer.inner`.

    Args:
        value: Whose fields.
        without: Fields that are left out.
        more: What comes after them.
    """
    fields = {name: each for name, each in dict(value).items() if name not in without}
    show_table(("", ""), (*_flat(fields, ""), *more))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner meanwhile, where somebody looks."""
    if sys.stderr.isatty():
        from rich.text import Text

        with console(stderr=True).status(Text(what)):
            yield
    else:
        yield


def _flat(fields: dict[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, BaseModel):
            yield from _flat(dict(value), f"{prefix}{name}.")
        elif isinstance(value, dict | list | tuple):
            yield f"{prefix}{name}", json.dumps(value, default=str, ensure_ascii=False)
        else:
            yield f"{prefix}{name}", value


def _plain(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case datetime():
            return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return str(cell)
