"""The settings of Postgres that Parley's statements and the reading of their rows rely on.

A database or a role may have defaults of its own for each of them, and a pooler that lends a
connection for one transaction keeps nothing that was set before it. So every transaction begins by
setting them, for itself only. It takes no round trip of its own: they are sent together with the
transaction's first statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Loader
from psycopg.sql import SQL, Literal
from psycopg.types.datetime import DateLoader, TimestampLoader

from parley.repository.scope import USER_SETTING

RELIED_ON: Mapping[str, str] = {
    # How values are written, which psycopg reads.
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # How statements and their parameters are read.
    # A temporary table, which would be looked for first, stands in for none of ours.
    "search_path": "public, pg_temp",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # A role's "off" has a policy raise an error where it should leave rows out.
    "row_security": "on",
}
"""What is set to which value, unless the URL's `options` name it.

Left to the database on purpose, since they are an operator's to say and Parley lives with each:
`default_transaction_read_only` (providers switch it on when a disk is full; it answers 503),
`synchronous_commit`, `lock_timeout`, `idle_session_timeout`, `lc_messages` and what is about
performance. `client_encoding` belongs to the connection, where poolers keep it as well.
"""

USER_OF_SESSION = b"SELECT set_config('parley.user', parley_user_of_session($1), true)"
"""Sets whose rows a transaction sees by a session's id, behind what `beginning` gives."""

ALONE = b"SELECT pg_advisory_xact_lock(hashtextextended($1, 7421))"
"""Waits for the transactions of the same user that are to go on alone, and holds up the next ones.

It comes before the transaction's own statement, which so sees all that they have committed. Nobody
who holds a row waits for it, as it is always the first thing taken: it is part of no deadlock. The
number keeps it apart from locks of a project's own.
"""

ROWS_ALONE = b"SELECT pg_advisory_xact_lock(hashtextextended($1, 7422))"
"""The same among transactions that count rows of a project's own.

Another lock, since a tool has it until its body is over: no turn of the user's begins later for it.
"""

_ISOLATION = "default_transaction_isolation"
_NAMED = re.compile(r"(?:-c\s*|--)([\w.-]+)\s*=")


def beginning(options: str, statement_timeout: float) -> list[bytes]:
    """Return the statements that a transaction begins with.

    The last takes a parameter: the user whose rows the transaction sees, or nothing for nobody's.

    Args:
        options: The URL's; what it names is left as it says.
        statement_timeout: Seconds that a statement, or a transaction left idle, may take; 0 leaves
            both to the role's settings.
    """
    named = {name.lower().replace("-", "_") for name in _NAMED.findall(options)}
    settings = dict(RELIED_ON)
    if statement_timeout:
        limit = str(int(statement_timeout * 1000))
        settings |= {"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}
    each = [
        SQL("set_config({}, {}, true)").format(Literal(name), Literal(value))
        for name, value in settings.items()
        if name not in named
    ]
    each.append(SQL("set_config({}, $1, true)").format(Literal(USER_SETTING)))
    statements = [SQL("SELECT ") + SQL(", ").join(each)]
    if _ISOLATION not in named:
        # Before what looks at rows. The default itself would be set too late for this transaction.
        statements.insert(0, SQL("SET transaction_isolation = 'read committed'").format())
    return [statement.as_bytes(None) for statement in statements]


class UtcLoader(Loader):
    """Reads a time with its zone, which was written as `RELIED_ON` says.

    psycopg's own goes by what the connection says of itself when the transaction is over, which is
    the database's default again.
    """

    def load(self, data: Buffer) -> datetime:
        """Return the time, in UTC.

        Raises:
            ValueError: No datetime can hold it: it is infinite, or before or after our calendar.
        """
        return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)


class DayLoader(DateLoader):
    """Reads a day as `RELIED_ON` says, whatever the connection says of itself."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        """Leave out the connection."""
        super().__init__(oid)


class LocalTimeLoader(TimestampLoader):
    """Reads a time without a zone likewise."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        """Leave out the connection."""
        super().__init__(oid)


LOADERS: Mapping[str, type[Loader]] = {
    "timestamptz": UtcLoader,
    "timestamp": LocalTimeLoader,
    "date": DayLoader,
}
"""By what values of each type are read. Durations are left out: no statement of ours gives one."""
