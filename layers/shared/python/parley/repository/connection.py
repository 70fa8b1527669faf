"""One connection to Postgres: how it is opened, what its transactions begin with, and patience.

All that depends on what psycopg keeps to itself is here: `Cursor._execute_gen`, which `_first_gen`
does again in a pipeline, and `Connection._get_tx_start_command`. Read in psycopg 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar, cast

from psycopg import (
    Connection,
    Cursor,
    DatabaseError,
    DataError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    RawCursor,
)
from psycopg.abc import Params, PQGen, Query
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
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
_COPYING = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)


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


def begin_in(connection: DBAPIConnection, scope: Scope, *, at_once: bool = False) -> None:
    """Have the transactions that this connection begins from now on begin in the scope.

    Args:
        connection: The driver's.
        scope: Whose rows they see.
        at_once: Whether each statement is a transaction of its own, which commits itself. The
            driver's autocommit would have to be switched on for that, and off for the next.
    """
    driver = cast("_Connection", connection)
    driver.scope, driver.at_once = scope, at_once


def go_alone(connection: DBAPIConnection, user_id: str) -> None:
    """Have the transaction wait for those of the user's that count rows, and hold up the next ones.

    If it has not begun, its first statement does so, in the same round trip.
    """
    driver = cast("_Connection", connection)
    if driver.pgconn.transaction_status == TransactionStatus.IDLE:
        driver.scope = OfUser(user_id, rows_alone=True)
    else:
        RawCursor(driver).execute(ROWS_ALONE, [user_id])


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
        at_once: Whether each statement is a transaction.
    """

    answer_within: float | None = None
    beginning: Sequence[bytes] = ()
    scope: Scope | None = None
    at_once = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.answer_within if timeout is None else timeout)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # the answer may still come, and would be taken for the next one's
            raise

    def is_to_begin(self) -> bool:
        """Return whether the next statement is the first of its transaction."""
        return (
            self.pgconn.transaction_status == TransactionStatus.IDLE
            and self.pgconn.pipeline_status == PipelineStatus.OFF
        )

    def send_beginning(self) -> int:
        """Put what a transaction begins with into libpq's buffer, and return how many those are."""
        scope = self.scope
        user = [_as_text(scope.user_id if isinstance(scope, OfUser) else "")]
        *settings, last = self.beginning
        statements: list[tuple[bytes, list[bytes] | None]] = [
            *((statement, None) for statement in settings),
            (last, user),
        ]
        if not self.at_once:
            statements.insert(0, (self._get_tx_start_command(), None))
        if isinstance(scope, OfUser) and scope.alone:
            statements.append((ALONE, user))
        if isinstance(scope, OfUser) and scope.rows_alone:
            statements.append((ROWS_ALONE, user))
        if isinstance(scope, OfSession):
            statements.append((USER_OF_SESSION, [str(scope.session_id).encode()]))
        for statement, parameters in statements:
            self.pgconn.send_query_params(statement, parameters)
        return len(statements)


class _Cursor(Cursor[Any]):
    """A cursor whose first statement in a transaction brings along what the transaction relies on.

    All of it goes in one packet and one round trip, as one transaction, though nobody say BEGIN.
    psycopg's own pipeline would send each statement by itself and wait for BEGIN, and take twice
    as long.
    """

    def execute(
        self,
        query: Any,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        driver = self.connection
        if not isinstance(driver, _Connection) or not driver.is_to_begin():
            return super().execute(query, params, prepare=prepare, binary=binary)
        with driver.lock, _pipelined(driver):
            driver.wait(self._first_gen(driver, query, [params], binary=binary))
        return self

    def executemany(
        self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
    ) -> None:
        driver = self.connection
        if not isinstance(driver, _Connection) or not driver.is_to_begin():
            super().executemany(query, params_seq, returning=returning)
            return
        with driver.lock, _pipelined(driver):
            driver.wait(self._first_gen(driver, query, params_seq, returning=returning))

    def _first_gen(
        self,
        driver: _Connection,
        query: Query,
        params_seq: Iterable[Params | None],
        *,
        returning: bool | None = None,
        binary: bool | None = None,
    ) -> PQGen[None]:
        """Do what `_execute_gen` does, behind what the transaction begins with.

        Args:
            driver: The connection.
            query: The statement.
            params_seq: The parameters of each time that it is carried out.
            returning: None if that is once; else whether each time gives rows to keep.
            binary: Whether the rows come in Postgres's own form.
        """
        if self.closed:
            raise InterfaceError("the cursor is closed")
        self._reset()
        self._tx = Transformer(self)
        self._execmany_returning = returning
        if returning is False:
            self._rowcount = 0
        # All of them before anything is sent: if one cannot be, the connection is as it was.
        converted = [self._convert_query(query, params) for params in params_seq]
        before = driver.send_beginning()
        for each in converted:
            self._execute_send(each, force_extended=True, binary=binary)
        driver.pgconn.pipeline_sync()
        yield from send(driver.pgconn)
        for results in (yield from _all_results(driver.pgconn))[before:]:
            self._check_results(results)
            self._set_results(results)
        self._last_query = query


def _as_text(value: str) -> bytes:
    if "\0" in value:  # libpq would take what stands before it
        raise DataError("PostgreSQL text cannot contain NUL (0x00) bytes")
    return value.encode()


@contextmanager
def _pipelined(driver: _Connection) -> Iterator[None]:
    driver._check_connection_ok()
    driver.pgconn.enter_pipeline_mode()
    try:
        yield
    finally:
        if driver.pgconn.status == ConnStatus.OK:
            try:
                driver.pgconn.exit_pipeline_mode()
            except OperationalError:  # answers are still to come, which nobody waits for any more
                driver.close()


def _all_results(pgconn: PGconn) -> PQGen[list[list[PGresult]]]:
    """Return what each statement of a pipeline gave, when all of it was carried out.

    Raises:
        Error: What the first said that was not, or the end of the transaction.
        NotSupportedError: One copies. The connection is of no more use.
    """
    given: list[list[PGresult]] = []
    refusal: PGresult | None = None
    while True:
        try:
            results = yield from fetch_many(pgconn)
        except DatabaseError:
            if refusal is None:
                raise
            break  # what was refused ended the connection as well
        if not results or results[0].status == ExecStatus.PIPELINE_SYNC:
            break
        if results[-1].status in _COPYING:  # which libpq would say again for ever
            raise NotSupportedError("COPY cannot be executed: use the driver's copy()")
        failed = [result for result in results if result.status == ExecStatus.FATAL_ERROR]
        refusal = refusal or next(iter(failed), None)
        given.append(results)
    if refusal is not None:
        raise error_from_result(refusal, encoding=pgconn._encoding)
    return given
