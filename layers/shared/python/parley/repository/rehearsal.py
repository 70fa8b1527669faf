"""A stand-in for Postgres: a statement is composed whole, and answered without a connection.

All that depends on what libraries keep to themselves is here: SQLAlchemy's `Engine._compiled_cache`
and `Compiled._result_columns`, and psycopg's `PostgresQuery`. Read in SQLAlchemy 2.1 and
psycopg 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple, cast

from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from sqlalchemy import Connection, Engine, NullPool, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from parley.errors import ParleyError


class Column(NamedTuple):
    """A column of what a statement gives.

    Attributes:
        name: Its name.
        table: The table that it is read from; nothing if it is worked out.
        type: What it holds.
    """

    name: str
    table: str
    type: type[Any]


Answers = Callable[[Any, Sequence[Column]], "Named"]
"""Gives a statement's rows: it is told the statement, and its columns if they are known."""


def rehearsing(engine: Engine, answers: Answers) -> Engine:
    """Return an engine whose statements go nowhere, and are then known to the other one.

    Args:
        engine: The engine whose statements they are: what they are compiled to is kept for it.
        answers: Gives the rows.
    """
    pool = NullPool(lambda: cast("DBAPIConnection", _Nowhere()), dialect=engine.dialect)
    # The dialect learns nothing: of a server it asks when the first real connection is opened.
    stand_in = Engine(pool, engine.dialect, engine.url, hide_parameters=True)
    stand_in._compiled_cache = engine._compiled_cache

    def answer(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, _: bool
    ) -> None:
        columns = [_column(each) for each in getattr(context.compiled, "_result_columns", ())]
        cursor.answer(answers(context.invoked_statement, columns))

    event.listen(stand_in, "before_cursor_execute", answer)
    return stand_in


class TooManyStatements(ParleyError):
    """What is rehearsed goes in a circle."""


def bounded(answers: Answers, most: int) -> Answers:
    """Return what answers so many statements, and raises `TooManyStatements` then.

    Args:
        answers: Gives the rows.
        most: How many.
    """
    asked = count(1)

    def answer(statement: Any, columns: Sequence[Column]) -> Named:
        if next(asked) > most:
            raise TooManyStatements(f"more than {most} statements were rehearsed")
        return answers(statement, columns)

    return answer


class Named(NamedTuple):
    """Rows, with the names of their columns; a statement that gives none has no names."""

    names: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


def _column(entry: Any) -> Column:
    tables = (getattr(each, "table", None) for each in entry.objects)
    table = next((each for each in tables if each is not None), None)
    name = getattr(getattr(table, "element", table), "name", "")  # of an alias, what it stands for
    try:
        kind = entry.type.python_type
    except NotImplementedError:  # nothing is said of it
        kind = object
    return Column(entry.keyname or "", str(name), kind)


class _Nowhere:
    """A connection that is none."""

    def __init__(self) -> None:
        self.adapters = None  # those of the driver's own
        self.autocommit = False

    def cursor(self, *_: Any, **__: Any) -> _Cursor:
        return _Cursor()

    def commit(self) -> None:
        """Do nothing: nothing was begun."""

    rollback = close = commit


class _Cursor:
    """A cursor that composes statements."""

    arraysize = 1
    rowcount = -1

    def __init__(self) -> None:
        self.description: list[tuple[Any, ...]] | None = None
        self._rows: list[tuple[Any, ...]] = []

    def answer(self, given: Named) -> None:
        """Take what the next statement gives."""
        self.description = [(name, *[None] * 6) for name in given.names] or None
        self._rows = [tuple(row) for row in given.rows]
        self.rowcount = len(self._rows)

    def execute(self, query: str, parameters: Any = None, **_: Any) -> None:
        # As the driver does before it sends.
        PostgresQuery(Transformer()).convert(query, parameters)

    def executemany(self, query: str, each: Sequence[Any], **_: Any) -> None:
        for parameters in each:
            self.execute(query, parameters)

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []
