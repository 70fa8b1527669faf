"""How many rows there are, in a time that does not grow with them.

Counting ten million rows takes Postgres over ten seconds, which is more than a statement may take:
a figure that is only looked at must not fail what it stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from parley.repository.database import Database
from parley.repository.scope import SERVICE

COUNTED_UP_TO = 10_000
"""Up to so many rows are counted; how many more there are is the planner's estimate."""


def about(
    database: Database,
    table: str,
    condition: str = "true",
    in_order: str | None = None,
    **values: object,
) -> int:
    """Tell how many rows of a table meet a condition.

    Args:
        database: Where they are.
        table: The table, as SQL.
        condition: What they meet, as SQL.
        in_order: The order of an index that has these rows alone, as SQL: they are counted in it,
            and never by going through the table until there are enough of them.
        values: The condition's parameters.

    Returns:
        The number up to `COUNTED_UP_TO`; above that, at least as many, by what Postgres knows from
        its last ANALYZE and the size of the table.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    rows = f"SELECT 1 FROM {table} WHERE {condition}"
    order = "" if in_order is None else f"ORDER BY {in_order}"
    limited = text(f"SELECT count(*) AS rows FROM ({rows} {order} LIMIT {COUNTED_UP_TO + 1}) few")
    counted = int(database.run(SERVICE, limited, values)[0].rows)
    return counted if counted <= COUNTED_UP_TO else _planned(database, rows, counted, values)


def about_by_status(
    database: Database, table: str, condition: str, newest_first: str, **values: object
) -> dict[str, int]:
    """Tell how many rows of a table meet a condition, by their status.

    Args:
        database: Where they are.
        table: The table, as SQL.
        condition: What they meet, as SQL.
        newest_first: An order in which an index has them, as SQL: of many rows, the newest stand
            for all.
        values: The condition's parameters.

    Returns:
        The numbers, as `about` gives them; a status that none has is not there.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    newest = text(f"""
SELECT status, count(*) AS rows FROM (
  SELECT status FROM {table} WHERE {condition}
  ORDER BY {newest_first} LIMIT {COUNTED_UP_TO + 1}) few
GROUP BY status""")
    counted = {row.status: int(row.rows) for row in database.run(SERVICE, newest, values)}
    total = sum(counted.values())
    if total <= COUNTED_UP_TO:
        return counted
    rows = f"SELECT 1 FROM {table} WHERE {condition}"
    share = _planned(database, rows, total, values) / total
    return {status: round(number * share) for status, number in counted.items()}


def _planned(database: Database, rows: str, least: int, values: Mapping[str, object]) -> int:
    ((plan,),) = database.run(SERVICE, text(f"EXPLAIN (FORMAT JSON) {rows}"), values)
    return max(least, int(plan[0]["Plan"]["Plan Rows"]))
