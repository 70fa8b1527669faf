"""When a request came to API Gateway, and so how long somebody waits for its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from parley.timing import ANSWER_SECONDS, GATEWAY_SECONDS, INVOCATION_SECONDS


def seconds_to_answer(event: Mapping[str, Any]) -> float:
    """Return for how many seconds from now an answer that is begun still reaches the caller.

    An arrival that no invocation can have (`sam local` tells it in seconds, sample events are old,
    clocks differ) counts as now, and so does one that is not told, as behind a function URL.

    Args:
        event: The REST API's; `requestTimeEpoch` is in milliseconds.

    Returns:
        At most `GATEWAY_SECONDS`; nothing or less if the caller has been answered by the gateway.
    """
    arrived = event["requestContext"].get("requestTimeEpoch")
    age = time.time() - arrived / 1000 if isinstance(arrived, int | float) else 0.0
    if not 0 <= age <= INVOCATION_SECONDS:
        age = 0.0
    return GATEWAY_SECONDS - ANSWER_SECONDS - age
