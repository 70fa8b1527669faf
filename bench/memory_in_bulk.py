"""Memory of many turns, written past the stores: one statement, or a few batches."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

from parley.composition import Composition
from parley.ids import TurnKey
from parley.memory import dynamodb_header as header
from parley.memory.codec import pack_memory
from parley.memory.store import FORMAT_VERSION, TurnMemory

_BATCH = 25  # DynamoDB's most


class Left(NamedTuple):
    """What a finished turn leaves.

    Attributes:
        conversation: The conversation's key.
        turn: The turn's.
        expires_at: When it expires, in seconds since 1970.
        memory: What it is.
    """

    conversation: str
    turn: TurnKey
    expires_at: int
    memory: TurnMemory


def remember(parts: Composition, left: Iterable[Left]) -> None:
    """Write it into the store that the settings name."""
    if parts.settings.agent_session_store == "sqlite":
        _into_sqlite(parts, left)
    else:
        _into_dynamodb(parts, left)


def _into_sqlite(parts: Composition, left: Iterable[Left]) -> None:
    parts.store.read_newest("makes the tables", 1)
    rows = (
        (
            *(each.conversation, each.turn.number, str(each.turn.id), time.time()),
            *(FORMAT_VERSION, len(each.memory.items), len(payload), payload, each.expires_at),
        )
        for each in left
        for payload in [pack_memory(each.memory)]
    )
    path = str(parts.settings.agent_session_db_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO turns (conversation, number, turn_id, attempt, state, updated_at,"
            " version, items, bytes, payload, expires_at)"
            " VALUES (?, ?, ?, 1, 'done', ?, ?, ?, ?, ?, ?)",
            rows,
        )


def _into_dynamodb(parts: Composition, left: Iterable[Left]) -> None:
    import boto3

    client = boto3.client("dynamodb")
    table = parts.settings.agent_session_table or ""
    several = iter(left)
    while batch := list(islice(several, _BATCH)):
        client.batch_write_item(RequestItems={table: _puts(batch)})


def _puts(batch: Sequence[Left]) -> list[Any]:
    puts: list[Any] = []
    for each in batch:
        payload = pack_memory(each.memory)
        item = header.finished(
            each.conversation, each.turn, 1, "w", each.memory, len(payload), each.expires_at
        )
        puts.append({"PutRequest": {"Item": item | header.carrying(payload)}})
    return puts
