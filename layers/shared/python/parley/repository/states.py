"""The states of a turn, and every way from one to another; those of sessions and approvals.

The statements in `sql/` are what makes them; the diagram of turn-protocol.md is drawn from this
table, and the tests that break processes have Postgres refuse any other change.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

TurnStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled"]

STATUSES: tuple[TurnStatus, ...] = get_args(TurnStatus)
"""All of them, in the order in which a turn may go through them."""

OPEN: frozenset[TurnStatus] = frozenset({"queued", "running", "waiting"})
"""Those of a turn that is not over."""

OPEN_IN_SQL = "('queued', 'running', 'waiting')"
"""The same as a list of SQL's."""

SessionStatus = Literal["active", "ended", "escalated"]

ApprovalStatus = Literal["open", "approved", "rejected", "expired", "cancelled"]

WaitingFor = Literal["decisions"]
"""What a turn waits for that is `waiting`: decisions of people on what it has asked to do."""


class Transition(NamedTuple):
    """A change of a turn's status.

    Attributes:
        before: What it was; None for a turn that is made.
        after: What it is then.
        by: What does it, in the words of the diagram.
    """

    before: TurnStatus | None
    after: TurnStatus
    by: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(None, "running", "begin"),
    Transition(None, "queued", "begin, behind another turn or for a worker"),
    Transition(None, "completed", "an administrator leaves a note"),
    Transition("queued", "running", "a worker claims it"),
    Transition("queued", "cancelled", "cancel"),
    Transition("queued", "failed", "the session is not active any more"),
    Transition("running", "running", "another attempt takes it over"),
    Transition("running", "completed", "complete"),
    Transition("running", "failed", "fail"),
    Transition("running", "cancelled", "cancel"),
    Transition("running", "waiting", "pause, until somebody has decided"),
    Transition("waiting", "waiting", "a decision that is not the last"),
    Transition("waiting", "running", "the last decision, or cancel"),
)
"""A status that no transition leaves is final: such a turn never changes again."""


def diagram() -> str:
    """Return the transitions as a Mermaid diagram."""
    arrows = [f"{before or '[*]'} --> {after}: {by}" for before, after, by in TRANSITIONS]
    left = {transition.before for transition in TRANSITIONS}
    ends = [f"{status} --> [*]" for status in STATUSES if status not in left]
    return "\n    ".join(["stateDiagram-v2", *arrows, *ends])
