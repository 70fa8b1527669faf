"""The Idempotency-Key header, and what makes two requests the same."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Yours to choose. The same key gives the same result, however often sent.",
    ),
]


def fingerprint(kind: str, **fields: Any) -> bytes:
    """Digest what a request asks for. The same for any way of following a turn."""
    # Sorted all through: a retry may write an object's parts in another order.
    return sha256(json.dumps([kind, fields], sort_keys=True, default=str).encode()).digest()
