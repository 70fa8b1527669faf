"""Identifiers. All are made in Python, before the insert that stores them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import uuid_utils.compat


class TurnKey(NamedTuple):
    """Names a turn outside of Postgres: memory, records and event logs are found by both.

    The number puts them in order; the id says whose they are. A number alone does not: Postgres,
    restored to an earlier moment, gives it out again (docs/restore.md).
    """

    number: int
    id: UUID


SUMMARY_NUMBER = 9_999_999_999
"""The number under which a conversation's summaries stand, each under an id of its own.

It is above that of every turn, so that reading the newest turns begins with them: a turn is given
both by one read. Nothing that goes by turns' numbers comes to them (turn-protocol, section 3b).
"""


class Voucher(NamedTuple):
    """Says that a turn left memory, and with which attempt: only what it names counts.

    A summary is vouched for as turns are, under `SUMMARY_NUMBER`.
    """

    number: int
    attempt: int
    turn_id: UUID

    @property
    def turn(self) -> TurnKey:
        """The turn."""
        return TurnKey(self.number, self.turn_id)

    @classmethod
    def all_of(cls, column: Iterable[tuple[int, int, str]]) -> tuple[Voucher, ...]:
        """Read them from what a statement gives as JSON."""
        return tuple(cls(number, attempt, UUID(turn_id)) for number, attempt, turn_id in column)


def new_id() -> UUID:
    """Make a UUIDv7: unique, and in order of the millisecond in which it was made."""
    return uuid_utils.compat.uuid7()


def first_id(moment: datetime) -> UUID:
    """Return the lowest UUIDv7 of the moment's millisecond: whatever is made later is above it."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def conversation_key(user_id: str, session_id: UUID) -> str:
    """Name a session's memory in the agent-session store.

    The key is made on the server only and never shown to a client: who knows it could ask the
    store for a stranger's memory.
    """
    return f"user_{user_id}_conv_{session_id}"


_CONVERSATION = re.compile(r"user_(.*)_conv_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.S)


def session_of(conversation: str) -> tuple[str, UUID] | None:
    """Return the user and the session that a conversation key names; None of another text."""
    found = _CONVERSATION.fullmatch(conversation)
    return None if found is None else (found[1], UUID(found[2]))
