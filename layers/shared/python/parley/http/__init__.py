"""The HTTP API: events in, responses out.

What routes of one's own are made of can be imported from here, and docs/routes.md tells of it:
`Router`, and the annotations of what a route asks for: `Caller`, `Database`, `IdempotencyKey`, and
`Cursor` and `Limit` for lists. `answers` says what a route answers; `NotFound`, `InvalidField`,
`LimitReached` and `IdempotencyKeyReused` are raised to refuse. `encode_cursor` and `decode_cursor`
write and read a list's cursors, and `fitting` says how much of a page an answer can carry.
`fingerprint` tells whether a key came with the same request.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.errors import IdempotencyKeyReused, InvalidField, LimitReached, NotFound
    from parley.fingerprints import Fingerprint, fingerprint
    from parley.http.declared import OwnRouter as Router
    from parley.http.documented import answers
    from parley.http.idempotency import IdempotencyKey
    from parley.http.paging import Cursor, Limit, decode_cursor, encode_cursor, fitting
    from parley.http.parts import Caller
    from parley.http.user_database import Database

_HOMES = {
    "Caller": "parley.http.parts",
    "Cursor": "parley.http.paging",
    "Database": "parley.http.user_database",
    "Fingerprint": "parley.fingerprints",
    "IdempotencyKey": "parley.http.idempotency",
    "IdempotencyKeyReused": "parley.errors",
    "InvalidField": "parley.errors",
    "Limit": "parley.http.paging",
    "LimitReached": "parley.errors",
    "NotFound": "parley.errors",
    "Router": "parley.http.declared",
    "answers": "parley.http.documented",
    "decode_cursor": "parley.http.paging",
    "encode_cursor": "parley.http.paging",
    "fingerprint": "parley.fingerprints",
    "fitting": "parley.http.paging",
}
_NAMES = {"Router": "OwnRouter"}
"""What is called otherwise at home."""

__all__ = [
    "Caller",
    "Cursor",
    "Database",
    "Fingerprint",
    "IdempotencyKey",
    "IdempotencyKeyReused",
    "InvalidField",
    "Limit",
    "LimitReached",
    "NotFound",
    "Router",
    "answers",
    "decode_cursor",
    "encode_cursor",
    "fingerprint",
    "fitting",
]


def __getattr__(name: str) -> Any:
    """Return what is public here; imported then, since not everything in this folder needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _NAMES.get(name, name))
