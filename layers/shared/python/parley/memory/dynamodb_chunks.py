"""Payloads over DynamoDB's limit of 400 KB an item, split over chunks.

Chunks are written first, under a random write id, and stand for nothing until a header that names
the id is written. What no header names is litter: removed by its writer where it can be, and
otherwise swept with the turn's numbers, or by its time to live.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parley.errors import StoreUnavailable
from parley.memory.dynamodb_table import Attributes, DynamoDbTable, key
from parley.timing import DAY_SECONDS

CHUNK_BYTES = 350_000
"""The most that one item carries: 400 KB is the limit, and keys and numbers need room too."""

CHUNKS_FIRST = "c#"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunked:
    """A payload in chunks, as a header names it.

    Attributes:
        number: The turn whose payload it is.
        write: The random id of the write that made the chunks.
        count: How many there are.
    """

    number: int
    write: str
    count: int

    def parts(self) -> Iterator[str]:
        """Return the chunks' sort keys, in the payload's order."""
        return (f"{chunks_below(self.number)}#{self.write}#{i:04}" for i in range(self.count))


def chunks_below(number: int) -> str:
    """Return the highest sort key that stands before the chunks of turn `number`."""
    return f"{CHUNKS_FIRST}{number:010}"


def new_write() -> str:
    """Make the id of a write."""
    return secrets.token_hex(8)


class Chunks:
    """The chunks in one table."""

    def __init__(self, table: DynamoDbTable) -> None:
        self._table = table

    def write(
        self, conversation: str, number: int, write: str, payload: bytes, expires_at: int | None
    ) -> Chunked:
        """Write a payload's chunks. The caller commits them with a header, or removes them.

        They outlive a header that expires at `expires_at`: DynamoDB removes in no order.
        """
        expiry: Attributes = {}
        if expires_at is not None:
            expiry = {"expires_at": {"N": str(expires_at + int(DAY_SECONDS))}}
        slices = [payload[i : i + CHUNK_BYTES] for i in range(0, len(payload), CHUNK_BYTES)]
        chunked = Chunked(number, write, len(slices))
        self._table.put_all(
            key(conversation, part) | {"payload": {"B": data}} | expiry
            for part, data in zip(chunked.parts(), slices, strict=True)
        )
        return chunked

    def fetch(self, conversation: str, wanted: Iterable[Chunked]) -> dict[Chunked, bytes]:
        """Read payloads, consistently; without those that miss a chunk.

        Consistently even when the headers were not read so: a header may have reached a replica
        before its chunks did.
        """
        payloads = list(wanted)
        keys = [key(conversation, part) for chunked in payloads for part in chunked.parts()]
        found = {
            item["part"]["S"]: item["payload"]["B"]
            for item in self._table.get_all(keys, ["part", "payload"])
        }
        return {
            chunked: b"".join(found[part] for part in chunked.parts())
            for chunked in payloads
            if all(part in found for part in chunked.parts())
        }

    def remove(self, conversation: str, unwanted: Iterable[Chunked]) -> None:
        """Remove chunks that no header names any more, as far as the store serves.

        What remains takes room and nothing else, so the write that it follows has succeeded
        whatever happens here.
        """
        keys: list[Attributes] = [
            key(conversation, part) for chunked in unwanted for part in chunked.parts()
        ]
        try:
            self._table.delete_all(keys)
        except StoreUnavailable as error:
            _log.warning("left %d chunks to be swept up later: %s", len(keys), error.reason)
