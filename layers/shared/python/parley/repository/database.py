"""The way to Postgres: engines, made at first use, and their failures as Parley's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from psycopg import Error as PsycopgError
from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Executable,
    Row,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from parley.errors import StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.once import made_once
from parley.repository.address import parse_url, service_url
from parley.repository.connection import begin_in, open_connection, patient_for
from parley.repository.scope import SERVICE, OfService, Scope
from parley.retry import with_retry

T = TypeVar("T")

QUERY_CANCELED = "57014"
"""Postgres's code for a statement that took longer than `statement_timeout`."""

IDLE_TOO_LONG = "25P03"
"""Postgres's code for a transaction in which nothing was done for too long."""

# The last is not known to servers before version 17.
_LIMITS = "'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',\
 'transaction_timeout'"

# Classes of SQLSTATE after which the same statement may succeed later: connection, resources,
# operator intervention (statement time-outs too), read-only, lock and serialization failures.
_PASSING = ("08", "53", "57", "58", "25006", "25P03", "40", "55P03")

# Classes that say what is wrong with the deployment, where the statement is one of Parley's own:
# features, rights, schema, the server's own errors.
_DEPLOYMENT = ("0A", "28", "3D", "3F", "42", "XX")

# Those after which the connection is of no more use: the server is going away, or is a replica
# now, and what was opened meanwhile stays read-only when that is over.
_LEFT_BEHIND = ("08", "57P", "25006", "25P03")


class Database:
    """Runs statements and transactions.

    A statement that Postgres cannot serve is run again after a pause, as often as `patience` says.
    A connection that died while its process was frozen is so noticed by the statement that fails
    on it: a ping before each would cost every turn a round trip. So every statement given to `run`
    and `read` must be safe to repeat. A transaction is not repeated here, since only its owner can
    tell whether a COMMIT without an answer was carried out.
    """

    def __init__(
        self,
        url: Callable[[], str],
        *,
        renew: Callable[[], bool] | None = None,
        statement_timeout: float,
        pool_size: int = 2,
        as_owner: bool = False,
    ) -> None:
        """Keep what is needed to connect; nothing is opened yet.

        Args:
            url: Gives the URL when a connection is wanted (it may have to be fetched). It names
                the run-time role; the service's own work goes through the login beside it.
            renew: Fetches the URL again and tells whether it has changed; asked when the server
                refuses the password.
            statement_timeout: Seconds that a statement, or a transaction left idle, may take;
                0 leaves both to the role's settings.
            pool_size: The most connections at a time, for users and for the service each.
            as_owner: Whether the URL names the database's owner, who does all of it and whom no
                policy binds.
        """
        self._url = url
        self._renew = renew
        self._statement_timeout = statement_timeout
        self._pool_size = pool_size
        self._as_owner = as_owner
        self._stand_ins: Mapping[Engine, Engine] = {}

    @made_once
    def _users(self) -> Engine:
        return self._made(lambda: parse_url(self._url()))

    @made_once
    def _service(self) -> Engine:
        if self._as_owner:
            return self._users
        return self._made(lambda: service_url(parse_url(self._url())))

    def _engine(self, scope: Scope) -> Engine:
        engine = self._service if isinstance(scope, OfService) else self._users
        return self._stand_ins.get(engine, engine)

    @contextmanager
    def rehearsed(self, stand_in: Callable[[Engine], Engine]) -> Iterator[None]:
        """Have other engines take all statements within the block, which is no request's.

        Args:
            stand_in: Gives what takes an engine's place.
        """
        self._stand_ins = {each: stand_in(each) for each in {self._users, self._service}}
        try:
            yield
        finally:
            self._stand_ins = {}

    def _made(self, login: Callable[[], URL]) -> Engine:
        engine = create_engine(
            "postgresql+psycopg://",
            hide_parameters=True,  # errors are logged, and parameters are what people say
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_recycle=240,  # below the five minutes after which poolers drop an idle client
        )
        event.listen(engine, "do_connect", lambda dialect, *_: self._connect(dialect, login))
        event.listen(engine, "handle_error", _leave_behind)
        return engine

    def _connect(self, dialect: Dialect, login: Callable[[], URL]) -> DBAPIConnection:
        """Open a connection; with a password that was rotated since, try the new one."""
        try:
            return open_connection(dialect, login(), self._statement_timeout)
        except PsycopgOperationalError as error:
            # libpq gives no SQLSTATE here, but tells whether it got as far as the password.
            refused = error.pgconn is not None and error.pgconn.used_password
            if not refused or self._renew is None or not self._renew():
                raise
        return open_connection(dialect, login(), self._statement_timeout)

    @contextmanager
    def _at_once(self, scope: Scope) -> Iterator[Connection]:
        """Open a connection of which each statement commits itself."""
        with self._engine(scope).connect() as connection:
            begin_in(_driver(connection), scope, at_once=True)
            yield connection

    def run(
        self, scope: Scope, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Run one statement in its own transaction and one round trip.

        Args:
            scope: Whose rows it sees.
            statement: What is run.
            parameters: The statement's, by name.

        Returns:
            The rows that it gives; none for a statement without RETURNING.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now.
        """
        return with_retry(lambda: self.run_once(scope, statement, parameters))

    def run_once(
        self, scope: Scope, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Do the same without another try, for who has to know that one failed.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now. Whether the statement
                was carried out is then not known.
        """

        def work() -> Sequence[Row[Any]]:
            with self._at_once(scope) as connection:
                result = connection.execute(statement, parameters or {})
                return result.fetchall() if result.returns_rows else []

        return self._once(work)

    def read(self, scope: Scope, work: Callable[[Connection], T]) -> T:
        """Read by several statements, each of which commits itself.

        Args:
            scope: Whose rows they see.
            work: Runs them, and may be called again.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now.
        """

        def read() -> T:
            with self._at_once(scope) as connection:
                return work(connection)

        return with_retry(lambda: self._once(read))

    @contextmanager
    def transaction(self, scope: Scope) -> Iterator[Connection]:
        """Begin a transaction, committed at the end of the block and rolled back on an exception.

        Args:
            scope: Whose rows it sees.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now. Whether the
                transaction was committed is then not known.
        """
        with translated(), self._engine(scope).connect() as connection:
            begin_in(_driver(connection), scope)
            with connection.begin():
                yield connection

    @contextmanager
    def long_transaction(self, seconds: float) -> Iterator[Connection]:
        """Begin a transaction of the service in which each statement may take so long.

        Raises:
            StoreUnavailable: As from `transaction`; also when a lock was not to be had in time.
        """
        limit = text(
            f"SELECT set_config(name, :limit, true) FROM pg_settings WHERE name IN ({_LIMITS})"
        )
        with (
            self.transaction(SERVICE) as connection,
            patient_for(_driver(connection), seconds),
        ):
            connection.execute(limit, {"limit": str(int(seconds * 1000))})
            yield connection

    def close(self) -> None:
        """Close the connections. The next statement opens new ones."""
        for engine in ("_users", "_service"):
            if engine in self.__dict__:
                getattr(self, engine).dispose()

    def _once(self, work: Callable[[], T]) -> T:
        with translated():
            return work()


def _driver(connection: Connection) -> DBAPIConnection:
    return cast("DBAPIConnection", connection.connection.driver_connection)


def _leave_behind(context: ExceptionContext) -> None:
    """Have the pool open new connections instead of this one and those as old as it."""
    error = context.original_exception
    if isinstance(error, PsycopgError) and (error.sqlstate or "").startswith(_LEFT_BEHIND):
        context.is_disconnect = True


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's passing failures into `StoreUnavailable`, by SQLSTATE.

    Every other error is a defect in a statement and goes through as it is.
    """
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("postgres", "no connection was free") from error
    except DBAPIError as error:
        state = sqlstate(error)
        unreachable = state is None and isinstance(error, OperationalError | InterfaceError)
        if unreachable or error.connection_invalidated or (state or "").startswith(_PASSING):
            raise StoreUnavailable("postgres", state or "no connection") from error
        raise


def refusal(error: DBAPIError) -> StoreMisconfigured | StoreRefused:
    """Tell what a refusal of one of Parley's own statements means for who made it."""
    state = sqlstate(error)
    kind = StoreMisconfigured if (state or "").startswith(_DEPLOYMENT) else StoreRefused
    return kind("postgres", state or type(error.orig).__name__)


def sqlstate(error: DBAPIError) -> str | None:
    """Return Postgres's code for the error; None if it came from the connection, not the server."""
    return error.orig.sqlstate if isinstance(error.orig, PsycopgError) else None
