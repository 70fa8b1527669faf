"""What a project keeps of users, as it says so itself: for exporting, erasing and renaming them.

`[tool.parley] user_data` names a sequence of these, or a function that gives one, in the order in
which a user's rows can be deleted: what refers to another table comes before that table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from parley.errors import UserDataFault
from parley.manifest import locate, manifest
from parley.project_variables import fill_environment

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = re.compile(r"[^\W\d]\w{0,62}(\.[^\W\d]\w{0,62})?")
_COLUMN = re.compile(r"[^\W\d]\w{0,62}")


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table of which each row belongs to the user whom a column of it names.

    It has a primary key, of whatever type, and the column is a text.

    Attributes:
        name: The table, with its schema where that is not the first of the search path.
        user_column: The column with the user's id.
        left_out: Columns that an export leaves out.
        own_keys: Columns that may be null and are unique to each user, such as an idempotency key:
            renamed to a user who has the same value, a row loses its own.
        row_security: Whether statements made for a user see and change that user's rows only, as
            with Parley's tables. False where tools look at everybody's rows.
    """

    name: str
    user_column: str = "user_id"
    left_out: tuple[str, ...] = ()
    own_keys: tuple[str, ...] = ()
    row_security: bool = True


@dataclass(frozen=True, slots=True)
class UserData:
    """What is kept of users where no column says whose it is, or outside of Postgres.

    The functions are given a connection in a transaction, which is committed when they return, and
    may be called again after a failure.

    Attributes:
        name: What an export calls it.
        export: Gives what is kept of a user, each time in the same order, as what JSON has.
        erase: Removes it, and returns how much that was.
        rename: Puts what is kept of the first under the second id, and returns how much that was.
        tables: Tables whose rows these functions take care of.
    """

    name: str
    export: Callable[[Connection, str], Iterable[Mapping[str, Any]]]
    erase: Callable[[Connection, str], int]
    rename: Callable[[Connection, str, str], int]
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotOfUsers:
    """A table in which nothing is kept of users, such as a price list.

    Attributes:
        name: The table, with its schema where that is not the first of the search path.
    """

    name: str


Kept = UserTable | UserData | NotOfUsers


@cache
def kept_of_users() -> tuple[Kept, ...]:
    """Return what the project says that it keeps of users. This imports the module that says it.

    Raises:
        MissingManifest: No project was given to this process.
        StoreUnavailable: A secret that the project's code reads cannot be had now.
        UserDataFault: As from `read_kept`.
        Exception: Whatever importing the module raises.
    """
    target = manifest().user_data
    if target is not None:
        fill_environment()
    return read_kept(target)


def read_kept(target: str | None) -> tuple[Kept, ...]:
    """Return what `package.module:object` says that is kept of users; nothing for None.

    Raises:
        UserDataFault: It is not a sequence of what this module has, or a name is none or twice.
        Exception: Whatever importing the module raises.
    """
    if target is None:
        return ()
    said = locate(target)
    said = said() if callable(said) else said
    if isinstance(said, str) or not isinstance(said, Sequence):
        raise UserDataFault(f"{target} is not a list of UserTable, UserData and NotOfUsers")
    for each in said:
        if not isinstance(each, Kept):
            raise UserDataFault(
                f"{target} has {type(each).__name__} in it, and takes UserTable, UserData and"
                " NotOfUsers"
            )
        _check_names(target, each)
    names = [each.name for each in said]
    for name in names:
        if names.count(name) > 1:
            raise UserDataFault(f"{target} names {name} twice")
    return tuple(said)


def user_tables(kept: Iterable[Kept]) -> tuple[UserTable, ...]:
    """Return the tables with a user column."""
    return tuple(each for each in kept if isinstance(each, UserTable))


def tables_named(kept: Iterable[Kept]) -> frozenset[str]:
    """Return the names of all tables of which something is said."""
    return frozenset(
        name
        for each in kept
        for name in (each.tables if isinstance(each, UserData) else (each.name,))
    )


def _check_names(target: str, kept: Kept) -> None:
    match kept:
        case UserTable():
            columns: tuple[str, ...] = (kept.user_column, *kept.left_out, *kept.own_keys)
        case _:
            columns = ()
    for name in tables_named((kept,)):
        if not _NAME.fullmatch(name):
            raise UserDataFault(f"{target} names {name!r}, which is not table or schema.table")
    for column in columns:
        if not _COLUMN.fullmatch(column):
            raise UserDataFault(f"{target} names {column!r}, which is not a column's name")
