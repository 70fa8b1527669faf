"""The one place that decides whether, when and how long a call is tried again.

A generator that neither sends nor waits, as httpx's authentication flows are: the sync and the
async client carry out what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from math import inf
from typing import Any

import httpx

from parley_client.call import Call
from parley_client.errors import Unreachable

PATIENCE_SECONDS = 300.0

CONNECT_SECONDS = 5.0
# Over the 29 s after which API Gateway answers by itself.
_READ_SECONDS = 40.0
# Over the 15 s after which a stream in which nothing happens says that it is there.
SILENT_SECONDS = 40.0


class Kind(Enum):
    """What the outcome of a try means for the next."""

    FINAL = "it is the answer, or there will be none"
    WAITS = "it was taken, and waits for others"
    REFUSED = "nothing was done: too many requests, or a store is down"
    NEVER_SENT = "nobody was there to take it"
    LOST = "it may have been done, and goes on perhaps"
    BROKEN = "a process died, which the next carries on, or has a defect, which stays"


# How often each may come before it is the last word; the others end with the patience.
_LIMITS: dict[Kind, float] = {Kind.FINAL: 1, Kind.NEVER_SENT: 4, Kind.BROKEN: 3}
_PERHAPS_DONE = frozenset({Kind.LOST, Kind.BROKEN, Kind.WAITS})

Outcome = httpx.Response | httpx.HTTPError


@dataclass(frozen=True)
class Try:
    """Wait so many seconds, then send, and wait so many for the answer."""

    wait: float
    read_seconds: float


def tries(
    call: Call[Any],
    url: str,
    *,
    patience: float,
    clock: Callable[[], float],
    reached: bool = False,
) -> Generator[Try, Outcome, httpx.Response]:
    """Say what to try, take what came of it, and return the response that counts.

    What was not done is sent again whatever it is. What may have been done is sent again only
    where that does no harm: a message has its key, by which it joins the turn that it began.
    While that waits behind others the server says so each time, and all begins anew.

    Args:
        call: What is asked for.
        url: The API's address, for errors.
        patience: Seconds that all tries may take together, from the last 202 of a turn that waits.
        clock: Says the time in seconds.
        reached: Whether it answered a moment ago, so that who is not there is starting again.

    Raises:
        Unreachable: No answer came.
    """
    limits = {**_LIMITS, Kind.NEVER_SENT: inf} if reached else _LIMITS
    end = clock() + patience
    wait = 0.0
    seen: Counter[Kind] = Counter()
    perhaps_done = False
    while True:
        outcome = yield Try(wait, max(1.0, min(_READ_SECONDS, end - clock() - wait)))
        if perhaps_done and call.method == "DELETE" and _status(outcome) == 404:
            return httpx.Response(204)  # the try whose answer was lost did it
        kind = Kind.WAITS if call.waits and _is_asked_again(outcome) else kind_of(outcome)
        if kind is Kind.WAITS:
            seen.clear()
        seen[kind] += 1
        perhaps_done = perhaps_done or kind in _PERHAPS_DONE
        harmless = call.repeatable or kind not in _PERHAPS_DONE
        wait = _wait(outcome, seen.total())
        if kind is Kind.WAITS:
            end = clock() + wait + patience
        if (
            not harmless
            or seen[kind] >= limits.get(kind, inf)
            # What is left must do for a try.
            or clock() + wait >= end
        ):
            break
    if isinstance(outcome, httpx.Response):
        return outcome
    reason = str(outcome) or type(outcome).__name__
    raise Unreachable(url, reason, perhaps_done=perhaps_done) from outcome


def kind_of(outcome: Outcome) -> Kind:
    """Say what an outcome means."""
    match outcome:
        case httpx.Response(status_code=429 | 503):
            return Kind.REFUSED
        case httpx.Response(status_code=504):
            return Kind.LOST
        # A turn that failed is a problem document; without one, something on the way failed.
        case httpx.Response(status_code=502) if not is_problem(outcome):
            return Kind.LOST
        case httpx.Response(status_code=500):
            return Kind.BROKEN
        case (
            httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout() | httpx.ProxyError()
        ):
            return Kind.NEVER_SENT
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return Kind.FINAL
        case httpx.TransportError():
            return Kind.LOST
    return Kind.FINAL


def is_problem(response: httpx.Response) -> bool:
    """Return whether the response is a problem document."""
    kind: str = response.headers.get("Content-Type", "")
    return kind.startswith("application/problem+json")


def _is_asked_again(outcome: Outcome) -> bool:
    """Return whether it was taken and waits for others.

    One that waits for a person is the answer.
    """
    if not isinstance(outcome, httpx.Response) or outcome.status_code != 202:
        return False
    return "Retry-After" in outcome.headers


def _status(outcome: Outcome) -> int | None:
    return outcome.status_code if isinstance(outcome, httpx.Response) else None


def _wait(outcome: Outcome, count: int) -> float:
    asked = retry_after(outcome) if isinstance(outcome, httpx.Response) else None
    if asked is not None:
        return asked
    # A 504 has itself waited already.
    return 0.5 if _status(outcome) == 504 else min(2.0 ** (count - 1) / 2, 8.0)


def retry_after(response: httpx.Response) -> float | None:
    """Return for how many seconds the response asks to wait, or None where it does not."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
