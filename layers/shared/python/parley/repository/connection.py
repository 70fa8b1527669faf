"""One connection to Postgres: how it is opened, and how long it is waited for."""

from __future__ import annotations

from typing import TypeVar, cast

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

T = TypeVar("T")

_CONNECT_SECONDS = 5
_UNHEARD_MILLISECONDS = 3000
_ANSWER_SECONDS = 1.0


def open_connection(dialect: Dialect, url: str, statement_timeout: float) -> DBAPIConnection:
    """Open a connection that never waits for ever.

    Args:
        dialect: Knows how a URL becomes psycopg's arguments.
        url: An SQLAlchemy URL. What it says of `connect_timeout` and `options` goes first.
        statement_timeout: Seconds that a statement, or a transaction left idle, may take; 0 leaves
            both to the role's settings, and sets no limit here.
    """
    positional, named = dialect.create_connect_args(make_url(url))
    named.setdefault("connect_timeout", _CONNECT_SECONDS)
    # Where a connection was dropped without a word while the process was frozen, the kernel would
    # send into the void for a quarter of an hour.
    named.setdefault("tcp_user_timeout", _UNHEARD_MILLISECONDS)
    named["prepare_threshold"] = None  # what is prepared ties a pooler to one connection
    if statement_timeout and "options" not in named:
        limit = int(statement_timeout * 1000)
        named["options"] = (
            f"-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit}"
        )
    connection = _Connection.connect(*positional, **named)
    if statement_timeout:
        connection.answer_within = statement_timeout + _ANSWER_SECONDS
    return cast("DBAPIConnection", connection)


class _Connection(Connection):
    """A connection that is given up when no answer comes: a server that hangs ends no statement.

    Attributes:
        answer_within: Seconds; None waits for ever.
    """

    answer_within: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.answer_within if timeout is None else timeout)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # the answer may still come, and would be taken for the next one's
            raise
