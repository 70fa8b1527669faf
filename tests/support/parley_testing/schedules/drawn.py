"""What the schedules draw from: whom a step is about, what they say and what goes wrong."""

from __future__ import annotations

from hypothesis import strategies as st

from parley_testing.run.at_length import AT_LENGTH
from parley_testing.schedules.faults import Outage
from parley_testing.schedules.plans import PAYING, PLANS

MANY = 1 << 16
ANYONE = st.integers(0, MANY)
MESSAGES = st.sampled_from(PLANS)
MOSTLY = st.sampled_from([True, True, True, False])
PAYMENTS = st.sampled_from(PAYING)
MEETINGS = st.sampled_from(
    [
        "approve",
        "approve",
        "approve",
        "reject",
        "reject",
        "one",
        "expire",
        "cancel",
        "delete",
        "erase",
    ]
)
"""What may come of a turn that waits for a decision."""
WHILE_IT_WAITS = (
    "decide", "reject", "expire", "cancel", "delete", "erase", "work", "work and die",
    "clear", "send",
)  # fmt: skip
MEANWHILE = (
    "take over", "claim", "recover", "delete", "clear", "prune", "cancel", "end", "send", "retry",
    "retire", "queue", "work", "work and die", "stream",
    "summarise", *(("decide", "reject", "expire", "erase") if AT_LENGTH else ()),
)  # fmt: skip
MODES = st.sampled_from(["wait", "stream", "queue"])

_OUTAGE = (st.integers(0, 8), st.sampled_from([1, 2, 4, 9]), st.booleans())
OUTAGES = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        Outage,
        *_OUTAGE,
        parts=st.sampled_from([("memory", "events"), ("memory",), ("events",), ("wake-up",)]),
    ),
)
LOST_COMMITS = st.builds(Outage, st.integers(0, 2), st.just(1), st.just(True), st.just(True))
DATABASE_OUTAGES = st.one_of(st.none(), st.builds(Outage, *_OUTAGE), LOST_COMMITS)
POINTS = st.integers(0, 24)
TROUBLES = st.one_of(
    st.tuples(st.just("dies"), POINTS, st.just("")),
    st.tuples(st.just("freezes"), POINTS, st.sampled_from(MEANWHILE)),
    st.tuples(st.just("both"), POINTS, st.sampled_from(MEANWHILE)),
)
COURSES = st.one_of(st.just(("lives", 0, "")), TROUBLES)
MEETING_COURSES = st.one_of(
    st.just(("lives", 0, "")),
    st.tuples(st.just("dies"), st.integers(0, 6), st.just("")),
    st.tuples(
        st.sampled_from(["freezes", "both"]), st.integers(0, 6), st.sampled_from(WHILE_IT_WAITS)
    ),
)
"""What happens to who decides: that has few points."""
