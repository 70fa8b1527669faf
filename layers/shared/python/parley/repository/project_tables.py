"""Rows of users in tables of the project's own: read page by page, deleted, and put under another.

Nothing is known of such a table but its name and user column; its primary key is Postgres's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, DBAPIError

from parley.errors import InvalidField, UserDataFault
from parley.repository.database import Database, sqlstate
from parley.repository.row_security import GUARDS, PROJECT_VERSIONS
from parley.repository.scope import SERVICE, OfUser, Scope
from parley.user_tables import UserTable

_UNIQUE_VIOLATION = "23505"

Place = tuple[str, ...]
"""Where a row is in its table: the values of its primary key, as Postgres writes them."""


@dataclass(frozen=True, slots=True)
class OwnRow:
    """A row of a user's.

    Attributes:
        line: It, as a JSON object with `type`, `table` and `row`, written by Postgres: numbers keep
            all their digits.
        place: Where it is.
    """

    line: str
    place: Place


def quoted(name: str) -> str:
    """Return the name of a table or column, with or without its schema, as SQL has it."""
    return ".".join(f'"{part}"' for part in name.split("."))


def export_rows(
    database: Database, user_id: str, table: UserTable, after: Place | None, limit: int
) -> list[OwnRow]:
    """Return the user's rows in the order of their primary keys, at most `limit`.

    Raises:
        InvalidField: `after` is no place in this table.
    """
    key = _key(database, OfUser(user_id), table)
    columns = [f"r.{quoted(name)}" for name, _ in key]
    parameters: dict[str, Any] = {
        "user_id": user_id,
        "table": table.name,
        "left_out": list(table.left_out),
        "limit": limit,
    }
    behind = ""
    if after is not None:
        if len(after) != len(key):
            raise InvalidField("cursor", "is not a cursor that this list gave")
        casts = [f"CAST(:key_{number} AS {kind})" for number, (_, kind) in enumerate(key)]
        behind = f"AND ({', '.join(columns)}) > ({', '.join(casts)})"
        parameters |= {f"key_{number}": value for number, value in enumerate(after)}
    statement = text(f"""
SELECT CAST(jsonb_build_object('type', 'row', 'table', CAST(:table AS text),
    'row', to_jsonb(r) - CAST(:left_out AS text[])) AS text) AS line,
  ARRAY[{", ".join(f"CAST({column} AS text)" for column in columns)}] AS place
FROM {quoted(table.name)} r WHERE r.{quoted(table.user_column)} = :user_id {behind}
ORDER BY {", ".join(columns)} LIMIT :limit
""")
    try:
        rows = database.run(OfUser(user_id), statement, parameters)
    except DataError as error:  # what the cursor has is no value of the key's
        raise InvalidField("cursor", "is not a cursor that this list gave") from error
    return [OwnRow(row.line, tuple(row.place)) for row in rows]


def delete_rows(database: Database, user_id: str, table: UserTable, limit: int) -> int:
    """Delete the user's rows, at most `limit`, and return how many."""
    scope = OfUser(user_id)
    statement = text(f"""
DELETE FROM {quoted(table.name)} WHERE {_some_of(table, _key(database, scope, table))} RETURNING 1
""")
    return len(database.run(scope, statement, {"user_id": user_id, "limit": limit}))


def move_rows(database: Database, old: str, new: str, table: UserTable, limit: int) -> int:
    """Make rows another user's, at most `limit`, and return how many.

    Raises:
        InvalidField: The other user has a row that leaves no room for one of these.
    """
    name, user = quoted(table.name), quoted(table.user_column)
    kept = "".join(
        f""", {column} = CASE WHEN NOT EXISTS (
    SELECT FROM {name} o WHERE o.{user} = :new AND o.{column} = r.{column}) THEN r.{column} END"""
        for column in map(quoted, table.own_keys)
    )
    statement = text(f"""
UPDATE {name} r SET {user} = :new{kept}
WHERE {_some_of(table, _key(database, SERVICE, table), "r.")} RETURNING 1
""")
    try:
        rows = database.run(SERVICE, statement, {"user_id": old, "new": new, "limit": limit})
    except DBAPIError as error:
        if sqlstate(error) == _UNIQUE_VIOLATION:
            raise InvalidField(
                "new_user_id", f"has rows in {table.name} that leave no room for those to rename"
            ) from error
        raise
    return len(rows)


def check_tables(connection: Connection, tables: Sequence[UserTable]) -> None:
    """See that the tables are there, with what is said of them.

    Args:
        connection: To the database, with the schema as it is to be.
        tables: What the project says.

    Raises:
        UserDataFault: The first that is not.
    """
    for table in tables:
        found = connection.execute(_COLUMNS, {"table": quoted(table.name)})
        kinds: dict[str, str] = {row.attname: row.kind for row in found}
        if not kinds:
            raise UserDataFault(f"user_data names the table {table.name}, which is not there")
        for column in (table.user_column, *table.left_out, *table.own_keys):
            if column not in kinds:
                raise UserDataFault(f"user_data names {column} of {table.name}, which is not there")
        if kinds[table.user_column] != "S":
            raise UserDataFault(
                f"{table.user_column} of {table.name} is not a text, as users' ids are"
            )
        if not connection.execute(_KEY, {"table": quoted(table.name)}).all():
            raise UserDataFault(f"{table.name} has no primary key, by which an export goes")


def what_erasing_leaves(
    connection: Connection, named: frozenset[str], *, unless_empty: str
) -> list[str]:
    """Return a sentence for each table of the project's that erasing a user would leave as it is.

    A table whose rows go with those of another, by ON DELETE CASCADE, needs no word of its own.
    A reference that would keep the other rows from going is told of too.

    Args:
        connection: The owner's, to the database with its schema.
        named: The tables of which the project says something.
        unless_empty: A table that counts only with rows in it.
    """
    parleys = [*GUARDS, PROJECT_VERSIONS]
    if not _has_rows(connection, quoted(unless_empty)):
        parleys.append(unless_empty)
    told = {"parleys": parleys, "named": [quoted(name) for name in named]}
    left = [
        f"{row.name}: erasing a user would leave its rows. Name it in user_data: as a UserTable, or"
        " as NotOfUsers where it holds nothing of theirs."
        for row in connection.execute(_LEFT, told)
    ]
    held = [
        f"{row.name}: its reference to {row.other} keeps rows there from being deleted, which"
        f" retention and erasing do. Let it have ON DELETE CASCADE or SET NULL."
        for row in connection.execute(_HELD, told)
    ]
    return left + held


def _has_rows(connection: Connection, table: str) -> bool:
    there = connection.execute(_COLUMNS, {"table": table}).first() is not None
    return there and connection.execute(text(f"SELECT FROM {table} LIMIT 1")).first() is not None


def _key(database: Database, scope: Scope, table: UserTable) -> list[tuple[str, str]]:
    """Return the columns of the primary key, each with its type."""
    rows = database.run(scope, _KEY, {"table": quoted(table.name)})
    if not rows:
        raise UserDataFault(f"{table.name} is not there, or has no primary key")
    return [(row.attname, row.kind) for row in rows]


def _some_of(table: UserTable, key: Sequence[tuple[str, str]], of: str = "") -> str:
    columns = [quoted(name) for name, _ in key]
    own = ", ".join(f"{of}{column}" for column in columns)
    return f"""({own}) IN (
  SELECT {", ".join(columns)} FROM {quoted(table.name)}
  WHERE {quoted(table.user_column)} = :user_id ORDER BY {", ".join(columns)} LIMIT :limit)"""


_KEY = text("""
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS kind
FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = to_regclass(:table) AND i.indisprimary ORDER BY k.place
""")

_COLUMNS = text("""
SELECT a.attname, t.typcategory AS kind
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped
""")

# Partitions are their table's; what an extension brought is its own.
_TABLES = """
tables AS (
  SELECT c.oid, c.oid::regclass::text AS name,
    n.nspname = current_schema() AND c.relname = ANY(CAST(:parleys AS text[])) AS parleys,
    EXISTS (SELECT FROM unnest(CAST(:named AS text[])) AS t(name)
            WHERE to_regclass(t.name) = c.oid) AS named
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                    AND e.objid = c.oid AND e.deptype = 'e'))
"""

_LEFT = text(f"""
WITH RECURSIVE {_TABLES},
gone AS (
  SELECT oid FROM tables WHERE parleys OR named
  UNION
  SELECT f.conrelid FROM pg_constraint f JOIN gone ON gone.oid = f.confrelid
  WHERE f.contype = 'f' AND f.confdeltype = 'c')
SELECT name FROM tables WHERE oid NOT IN (SELECT oid FROM gone) ORDER BY name
""")

_HELD = text(f"""
WITH {_TABLES}
SELECT DISTINCT t.name, o.name AS other FROM tables t
JOIN pg_constraint f ON f.conrelid = t.oid AND f.contype = 'f' AND f.confdeltype IN ('a', 'r')
JOIN tables o ON o.oid = f.confrelid
WHERE NOT t.parleys AND (o.parleys OR (o.named AND NOT t.named)) ORDER BY t.name, other
""")
