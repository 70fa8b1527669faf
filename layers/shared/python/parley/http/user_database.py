"""Postgres as a project's own routes are given it: the rows of who calls, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler.depends import Depends
from sqlalchemy import Connection, Executable, Row

from parley.http import parts
from parley.http.declared import resolved
from parley.repository.database import Database as Everything
from parley.repository.scope import OfUser

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UserDatabase:
    """Runs statements for one user.

    Row-level security holds them to that user's rows in Parley's tables, and in those that the
    project's `user_data` names.
    """

    _everything: Everything
    _user_id: str

    def run(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        alone: bool = False,
    ) -> Sequence[Row[Any]]:
        """Run one statement in its own transaction and one round trip.

        It is run again after a passing failure, so it must be safe to repeat: an INSERT has an id
        that was made before, and `ON CONFLICT DO NOTHING`.

        Args:
            statement: What is run.
            parameters: The statement's, by name.
            alone: Whether it waits until no other of this user's that says so goes on, in the same
                round trip: for one that counts the user's rows before it adds to them.

        Returns:
            The rows that it gives; none for a statement without RETURNING.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now; answered with 503.
        """
        scope = OfUser(self._user_id, rows_alone=alone)
        return self._everything.run(scope, statement, parameters)

    def repeat(self, work: Callable[[Connection], T], *, alone: bool = False) -> T:
        """Do what takes a connection; each statement is a transaction of its own.

        It is for functions that tools use too, whose connection is that of their effect. The work
        is done again after a passing failure, so it must be safe to repeat, as with `run`.

        Args:
            work: Is given the connection; what it returns is returned.
            alone: As with `run`, of each statement.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now; answered with 503.
        """
        scope = OfUser(self._user_id, rows_alone=alone)
        return self._everything.read(scope, work)

    def transaction(self) -> AbstractContextManager[Connection]:
        """Return a transaction, committed at the end of the block, rolled back on an exception.

        Raises:
            StoreUnavailable: Postgres cannot be reached or cannot serve now; answered with 503.
                Whether the transaction was committed is then not known.
        """
        return self._everything.transaction(OfUser(self._user_id))


@resolved
def of_caller(user: parts.Caller, everything: parts.Database) -> UserDatabase:
    """Return the database as far as it is the caller's."""
    return UserDatabase(everything, user.user_id)


Database = Annotated[UserDatabase, Depends(of_caller)]
