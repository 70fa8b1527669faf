"""What can go wrong, as facts.

Exceptions carry ids and limits; `parley.http.problems` is the one place that turns them into
responses, and so into sentences for a client.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID


class ParleyError(Exception):
    """The root of every error that Parley raises on purpose."""


class MissingSetting(ParleyError):
    """A setting that this process cannot do without is not there."""

    def __init__(self, names: str, purpose: str) -> None:
        super().__init__(f"Set {names}: {purpose}.")
        self.names = names


class MissingManifest(ParleyError):
    """No project was given to this process, so it knows no agent."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"The module {module} is not on the path: parley build writes it into the package, and"
            " parley dev for what it starts, from [tool.parley] of pyproject.toml."
        )


class RuntimeRoleFault(ParleyError):
    """The functions' logins cannot be made or used; the message says so, for whoever deploys."""


class ProjectMigrationFault(ParleyError):
    """A migration of the project's cannot be run; the message says which, and why."""


class UserDataFault(ParleyError):
    """What a project says that it keeps of users does not hold; the message says what."""


class StandInFault(ParleyError):
    """A rule of the project's for the offline model is wrong; the message says which, and why."""


class Unauthenticated(ParleyError):
    """The event names no user: the authorizer did not run, or its answer has expired."""


class MissingScope(ParleyError):
    """The user is known but may not do this."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class NotFound(ParleyError):
    """Not there, or another user's: the two are never told apart."""

    def __init__(self, kind: str, id: object) -> None:
        super().__init__(f"{kind} {id}")
        self.kind = kind
        self.id = id


class InvalidField(ParleyError):
    """A field's value cannot be taken; nothing was changed."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NameTaken(ParleyError):
    """The user already has another session of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class SessionEscalated(ParleyError):
    """An escalated session is for a person to see to; its user does not set its status."""

    def __init__(self, session_id: UUID) -> None:
        super().__init__(f"session {session_id} is escalated")
        self.session_id = session_id


class SessionNotActive(ParleyError):
    """Only an active session runs turns."""

    def __init__(self, session_id: UUID, status: str) -> None:
        super().__init__(f"session {session_id} is {status}")
        self.session_id = session_id
        self.status = status


class MayNotDecide(ParleyError):
    """Another has to decide on this: `user`, `admin`, or who has that scope."""

    def __init__(self, decider: str) -> None:
        super().__init__(decider)
        self.decider = decider


class AlreadyDecided(ParleyError):
    """An approval was decided before, by another or otherwise, or its time is over."""

    def __init__(self, approval_id: UUID, decision: str) -> None:
        super().__init__(f"the approval {approval_id} is {decision}")
        self.approval_id = approval_id
        self.decision = decision


class TurnWaiting(ParleyError):
    """Another turn of the session waits for something, such as decisions."""

    def __init__(self, session_id: UUID, turn_id: UUID, *, may_enqueue: bool = True) -> None:
        """Say which turn it is.

        Args:
            session_id: The session.
            turn_id: The turn that waits.
            may_enqueue: Whether who asks could have asked to wait behind it.
        """
        super().__init__(f"turn {turn_id} of session {session_id} waits")
        self.session_id = session_id
        self.turn_id = turn_id
        self.may_enqueue = may_enqueue


class TurnInProgress(ParleyError):
    """Another turn of the session is running."""

    def __init__(self, session_id: UUID, turn_id: UUID) -> None:
        super().__init__(f"turn {turn_id} of session {session_id} is running")
        self.session_id = session_id
        self.turn_id = turn_id


class QueueFull(ParleyError):
    """As many turns wait on the session as may."""

    def __init__(self, session_id: UUID, limit: int) -> None:
        super().__init__(f"{limit} turns wait on session {session_id}")
        self.session_id = session_id
        self.limit = limit


class LimitReached(ParleyError):
    """The user has all that one may have of something, or has asked too often."""

    def __init__(
        self,
        limit: str,
        most: int,
        renews: float | None = None,
        used: int | None = None,
        *,
        held: int = 0,
        expected: int = 0,
        renews_at: datetime | None = None,
    ) -> None:
        """Say which limit it is.

        Args:
            limit: Its name, of small letters, such as `max_notes`.
            most: What may be.
            renews: In how many seconds there is room again; None where the user has to make it.
            used: What was used, of a budget; then None in `renews` means that what is asked for
                is more than all of it.
            held: What of that is only held, for what is not over.
            expected: What there was no room for.
            renews_at: When the budget begins anew.
        """
        super().__init__(f"{limit} is {most}")
        self.used = used
        self.held = held
        self.expected = expected
        self.renews_at = renews_at
        self.limit = limit
        self.most = most
        self.renews = renews


class IdempotencyKeyReused(ParleyError):
    """The key was used before, with another request."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class TurnUnfinished(ParleyError):
    """The invocation ends before its turn does. The turn goes on; the same key joins it."""

    def __init__(self, session_id: UUID, turn_id: UUID) -> None:
        super().__init__(f"turn {turn_id} of session {session_id} goes on")
        self.session_id = session_id
        self.turn_id = turn_id


class Fenced(ParleyError):
    """This attempt was replaced, or its turn ended or was deleted: it may write nothing more."""

    def __init__(self, number: int, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of turn {number} was replaced")
        self.number = number
        self.attempt = attempt


class StoreUnavailable(ParleyError):
    """A store did not answer, or answered that it cannot serve now. Nothing was lost."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store = store
        self.reason = reason


class StoreMisconfigured(StoreUnavailable):
    """A store cannot serve until somebody mends the deployment: rights, a key, a table, a file.

    Waiting helps, so it is an outage; but not for ever, so a turn is given up after a while.
    """


class StoreRefused(ParleyError):
    """A store will not take what it was given, and would not take it another time either."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store = store
        self.reason = reason


class TurnFailed(ParleyError):
    """The turn is over without a reply; the same key answers the same."""

    def __init__(
        self, session_id: UUID, turn_id: UUID, status: str, code: str, detail: str
    ) -> None:
        super().__init__(f"turn {turn_id} {status}: {code}")
        self.session_id = session_id
        self.turn_id = turn_id
        self.status = status
        self.code = code
        self.detail = detail
