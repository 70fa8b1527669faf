"""One connection to Postgres: how it is opened, what its transactions begin with, and patience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar, cast

from psycopg import Connection, Cursor, OperationalError, Pipeline
from psycopg.abc import Params, PQGen, Query
from psycopg.generators import send
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection

from parley.repository.relied_on import (
    ALONE,
    LOADERS,
    ROWS_ALONE,
    USER_OF_SESSION,
    beginning,
)
from parley.repository.scope import OfSession, OfUser, Scope

T = TypeVar("T")

_CONNECT_SECONDS = 5
_UNHEARD_MILLISECONDS = 3000
_ANSWER_SECONDS = 1.0


def open_connection(dialect: Dialect, url: URL, statement_timeout: float) -> DBAPIConnection:
    """Open a connection that never waits for ever.

    Args:
        dialect: Knows how a URL becomes psycopg's arguments.
        url: Where and as whom. What it says of `connect_timeout` and `options` goes first.
        statement_timeout: Seconds that a statement, or a transaction left idle, may take; 0 leaves
            both to the role's settings, and sets no limit here.
    """
    positional, named = dialect.create_connect_args(url)
    named.setdefault("connect_timeout", _CONNECT_SECONDS)
    # Where a connection was dropped without a word while the process was frozen, the kernel would
    # send into the void for a quarter of an hour.
    named.setdefault("tcp_user_timeout", _UNHEARD_MILLISECONDS)
    named["client_encoding"] = "utf8"
    named["prepare_threshold"] = None  # what is prepared ties a pooler to one connection
    named["cursor_factory"] = _Cursor
    connection = _Connection.connect(*positional, **named)
    for name, loader in LOADERS.items():
        connection.adapters.register_loader(name, loader)
    connection.beginning = beginning(str(named.get("options", "")), statement_timeout)
    if statement_timeout:
        connection.answer_within = statement_timeout + _ANSWER_SECONDS
    return cast("DBAPIConnection", connection)


def begin_in(connection: DBAPIConnection, scope: Scope) -> None:
    """Have the transactions that this connection begins from now on begin in the scope."""
    cast("_Connection", connection).scope = scope


def go_alone(connection: DBAPIConnection, user_id: str) -> None:
    """Have the transaction wait for those of the user's that count rows, and hold up the next ones.

    If it has not begun, its first statement does so, in the same round trip.
    """
    driver = cast("_Connection", connection)
    if driver.pgconn.transaction_status == TransactionStatus.IDLE:
        driver.scope = OfUser(user_id, rows_alone=True)
    else:
        driver.execute(ROWS_ALONE, [user_id])


@contextmanager
def patient_for(connection: DBAPIConnection, seconds: float) -> Iterator[None]:
    """Wait for each answer so long within the block, whatever is waited otherwise."""
    driver = cast("_Connection", connection)
    before = driver.answer_within
    driver.answer_within = seconds + _ANSWER_SECONDS
    try:
        yield
    finally:
        driver.answer_within = before


class _Connection(Connection):
    """A connection that is given up when no answer comes: a server that hangs ends no statement.

    Attributes:
        answer_within: Seconds; None waits for ever.
        beginning: The statements that every transaction begins with.
        scope: Whose rows its transactions see; None for nobody's.
    """

    answer_within: float | None = None
    beginning: Sequence[bytes] = ()
    scope: Scope | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.answer_within if timeout is None else timeout)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # the answer may still come, and would be taken for the next one's
            raise


class _Pipeline(Pipeline):
    """A pipeline that ends with its Sync, behind which the server flushes by itself.

    psycopg 3.3 asks for a flush besides when it leaves a pipeline. Coming after the Sync, that is a
    message for which the server stops the time that a transaction may idle, and no other follows.
    """

    def _exit_gen(self) -> PQGen[None]:
        try:
            self._enqueue_sync()
            yield from self._communicate_gen()
        finally:
            yield from send(self.pgconn)  # what is still to go out of a large statement
            yield from self._fetch_gen(flush=False)


class _Cursor(Cursor[Any]):
    """A cursor whose first statement in a transaction brings along what the transaction relies on.

    Both go in one round trip, as one transaction, though the connection be in autocommit.
    """

    def execute(self, query: Any, params: Params | None = None, **how: Any) -> Self:
        with _beginning(self.connection):
            return super().execute(query, params, **how)

    def executemany(
        self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
    ) -> None:
        with _beginning(self.connection):
            super().executemany(query, params_seq, returning=returning)


@contextmanager
def _beginning(connection: Connection[Any]) -> Iterator[None]:
    idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    if not idle or not isinstance(connection, _Connection):
        yield
        return
    connection._pipeline = _Pipeline(connection)
    with connection.pipeline():
        first, scope = Cursor(connection), connection.scope
        *settings, last = connection.beginning
        for statement in settings:
            first.execute(statement)
        first.execute(last, [scope.user_id if isinstance(scope, OfUser) else ""])
        if isinstance(scope, OfUser) and scope.alone:
            first.execute(ALONE, [scope.user_id])
        if isinstance(scope, OfUser) and scope.rows_alone:
            first.execute(ROWS_ALONE, [scope.user_id])
        if isinstance(scope, OfSession):
            first.execute(USER_OF_SESSION, [scope.session_id])
        yield
