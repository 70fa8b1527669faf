"""The Idempotency-Key header; what makes two requests the same is in `parley.fingerprints`."""

from __future__ import annotations

from typing import Annotated

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
