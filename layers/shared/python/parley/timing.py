"""Every duration that depends on another, with what must hold between them.

Whoever changes one finds here which others it goes with: the inequalities are checked when this
module is imported, by any test and by any function. Durations that stand for themselves stay where
they are used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DAY_SECONDS = 86_400.0

INVOCATION_SECONDS = 900.0
"""The longest that Lambda lets an invocation take."""

GATEWAY_SECONDS = 29.0
"""How long API Gateway waits for a function's answer, from the request's arrival: the integration
time-out of a REST API (docs.aws.amazon.com/apigateway/latest/developerguide/limits.html)."""

LONGEST_DELAY_SECONDS = 900
"""As long as SQS keeps a message back."""

ANSWER_SECONDS = 1.5
"""What is kept of the gateway's time, so that an answer is read, written and back there in time."""

APPROVAL_SECONDS = 7 * DAY_SECONDS
"""How long somebody may take to decide, unless the deployment says otherwise."""

# Statements and tries

STATEMENT_SECONDS = 10.0
"""How long a statement may take, unless the deployment says otherwise."""

PATIENCE_SECONDS = 4.0
"""No try begins later than this after the first: one that ran into a time-out is not repeated, so
that the caller is told before the gateway ends the request."""

assert GATEWAY_SECONDS - ANSWER_SECONDS > PATIENCE_SECONDS + STATEMENT_SECONDS, (
    "no try begins that could not be answered through the gateway"
)

# Leases

LEASE_SECONDS = 45
"""How long an attempt holds its turn without renewing: a crash is noticed after that."""

RENEW_SECONDS = 15
"""How often a running turn's lease is renewed. Shorter turns never do, and save the round trip."""

assert 2 * RENEW_SECONDS < LEASE_SECONDS, "a lease is renewed often enough to miss one"
assert RENEW_SECONDS + PATIENCE_SECONDS + STATEMENT_SECONDS < LEASE_SECONDS, (
    "a write begun just before it is renewed, tried again for as long as it may and answered late,"
    " ends before its lease"
)

# Wake-ups

CRASH_SECONDS = LEASE_SECONDS + 15
"""When a worker looks whether an attempt still lives: unless renewed, its lease has run out."""

RETRY_SECONDS = 30
"""When a worker looks for the first time at a turn that its attempt could not go on with."""

PUT_BACK_SECONDS = 60
"""When a wake-up comes back that could not be answered, and twice as late after each further time;
the queue's own time-out is much longer. If its claim was carried out and only the answer lost, the
lease has run out by then."""

WOKEN_FOR_SECONDS = 60
"""How long a queued turn is left to the worker that its sender woke."""

assert LEASE_SECONDS < CRASH_SECONDS, "who looks after a crash finds the lease over"
assert LEASE_SECONDS < PUT_BACK_SECONDS, "and so does who comes back after an unseen claim"
assert LEASE_SECONDS < WOKEN_FOR_SECONDS, "a queued turn is left to its worker for a whole lease"
assert CRASH_SECONDS <= LONGEST_DELAY_SECONDS, "what is put off the queue can keep back"

# Summaries

SUMMARY_SECONDS = 120.0
"""How long a model may take to make a summary, all tries together."""

SUMMARY_LEASE_SECONDS = 180
"""How long a process holds the summary that it makes. It is not renewed."""

SUMMARY_PAUSE_SECONDS = 60
"""How long a summary that could not be made is left, and twice as long after each further time."""

SUMMARY_WAIT_SECONDS = 30
"""How long a summary is left where as many are made as may be at a time."""

LONGEST_SUMMARY_PAUSE_SECONDS = 6 * 3600
"""How long it is left at most."""

assert SUMMARY_SECONDS + 3 * (PATIENCE_SECONDS + STATEMENT_SECONDS) < SUMMARY_LEASE_SECONDS, (
    "a summary is read for, made and kept while its maker holds it"
)
assert SUMMARY_LEASE_SECONDS < LONGEST_DELAY_SECONDS, "who looks after a crash can be put off so"

# What an invocation keeps for its end

BODY_SECONDS = 1.0
"""How long a tool's body is waited for when its turn must end: a commit that is under way takes
less, and a thread cannot be stopped."""

TURN_MARGIN_SECONDS = 12.0
"""What an invocation keeps for letting go of a turn that will not end in time: a statement that is
under way is waited for, and may take its whole time-out."""

WORKER_MARGIN_SECONDS = 15.0
"""What a worker's keeps for that, and for waking."""

PAGE_MARGIN_SECONDS = 8.0
"""What an administrator's request keeps for the page of work that has begun, and to answer."""

CLEANUP_MARGIN_SECONDS = 10.0
"""What an invocation keeps for a page of cleanup that has begun."""

assert STATEMENT_SECONDS + BODY_SECONDS < TURN_MARGIN_SECONDS <= WORKER_MARGIN_SECONDS, (
    "a whole statement and a tool's body end in what is kept for letting go of a turn"
)
assert PAGE_MARGIN_SECONDS < GATEWAY_SECONDS - ANSWER_SECONDS, (
    "a page of administration ends with its request"
)

# Following a turn

LOOK_SECONDS = 1.0
"""How long an attempt writes nothing before it looks whether it was replaced."""

QUIET_SECONDS = 2.0
"""How long a log is idle before Postgres is asked what became of the turn."""

ASK_SECONDS = 5.0
"""How long it stays idle before Postgres is asked again."""

WAKE_SECONDS = float(LEASE_SECONDS)
"""How long it stays idle before a worker is woken: who carried the turn out may have died before
it could leave a wake-up, and a wake-up may be lost."""

assert LOOK_SECONDS < QUIET_SECONDS < ASK_SECONDS < WAKE_SECONDS, (
    "an idle log is looked at before a worker is woken"
)

# What is kept

KEPT_SECONDS = 86_400
"""How long each write of an event log is kept."""

OPEN_SECONDS = 90 * DAY_SECONDS
"""How much longer an open turn lives, from its last record: its records are what the next attempt
goes on from, and that may have to wait until a deployment that stands still is started again."""

GRACE_SECONDS = 1200
"""When a deleted session's memory is removed a second time: the longest invocation and a margin
later, since a dying process may write late."""

assert 2 * INVOCATION_SECONDS < KEPT_SECONDS < OPEN_SECONDS, (
    "a log is there for as long as its turn can be told of, and records for longer"
)
assert INVOCATION_SECONDS + LEASE_SECONDS < GRACE_SECONDS, (
    "memory is removed again when no process can write any more"
)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an invocation ends, whoever tells it.

    Attributes:
        left: Tells how many seconds are left; less than nothing when it is over.
    """

    left: Callable[[], float]

    @classmethod
    def of_invocation(cls, context: Any) -> Deadline:
        """Return that of a handler's invocation, which Lambda's context tells."""

        def left() -> float:
            seconds: float = context.get_remaining_time_in_millis() / 1000
            return seconds

        return cls(left)

    @classmethod
    def at(cls, moment: float) -> Deadline:
        """Return that of an invocation that ends at a moment, in seconds since 1970."""
        return cls(lambda: moment - time.time())

    def before(self, margin: float) -> Deadline:
        """Return the one so many seconds earlier, for work that has to leave time for more."""
        return Deadline(lambda: self.left() - margin)
