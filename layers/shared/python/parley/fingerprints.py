"""What makes two requests the same, so that an idempotency key is not taken for another's.

A fingerprint carries the version of the rule that made it. A deployment changes the rules while
turns are open and keys are kept: what an older rule made is compared with what that rule makes of
the request now.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

_VERSION = b"\x02"

# What the first rule knew of Parley's kinds; it had no version, and all fields stood in it.
_KNOWN_TO_THE_FIRST = {
    "session": frozenset({"agent", "name", "platform", "metadata"}),
    "message": frozenset({"session_id", "text"}),
    "first message": frozenset({"text", "session_name", "agent", "platform", "metadata"}),
}


class Fingerprint(bytes):
    """What the current rule makes of a request: this is stored.

    Attributes:
        older: What the rules before it make of the same request.
    """

    older: tuple[bytes, ...] = ()

    def is_of(self, stored: bytes) -> bool:
        """Return whether what is stored was made of this request, by this rule or an older one."""
        return stored in all_of(self)


def fingerprint(kind: str, **fields: Any) -> Fingerprint:
    """Digest what a request asks for. The same for any way of following a turn.

    A field that is null or empty does not count, so a field that a later version adds makes no
    other request of one that does not give it.
    """
    given = {name: value for name, value in fields.items() if value not in (None, {}, [])}
    made = Fingerprint(_VERSION + _digest(kind, given))
    known = _KNOWN_TO_THE_FIRST.get(kind, fields)
    first = {name: value for name, value in fields.items() if name in known}
    made.older = (_digest(kind, first),)
    return made


def all_of(made: bytes) -> tuple[bytes, ...]:
    """Return what may be stored of a request: by the current rule, then by the older ones."""
    return (bytes(made), *(made.older if isinstance(made, Fingerprint) else ()))


def _digest(kind: str, fields: dict[str, Any]) -> bytes:
    # Sorted all through: a retry may write an object's parts in another order.
    return sha256(json.dumps([kind, fields], sort_keys=True, default=str).encode()).digest()
