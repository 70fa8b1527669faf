"""What a route asks for besides its parameters: who calls, the process's parts, the deadline.

A route is a function of a module-level `Router`; each of these is the annotation of one argument:

    router = Router()

    @router.get("/notes")
    def list_notes(user: Caller, database: Database) -> NoteList: ...

Each is looked up when a request comes, in the order in which the route names them, so whoever may
not call is refused before any part is made. The parts are those of the `Composition` that the
function's `Api` was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler import Request
from aws_lambda_powertools.event_handler.depends import Depends

from parley import timing
from parley.http import identity, project_routes
from parley.http.declared import resolved

if TYPE_CHECKING:
    from parley.cleanup import cleaner, forgetting
    from parley.composition import Composition
    from parley.events import log
    from parley.memory import store
    from parley.repository import database, sessions, transcript, user_budgets
    from parley.turns import cancel, decide, notes, send, summaries
    from parley.users import erasure, export, renaming
else:

    class _Unloaded:
        """A module whose types are there for who reads the code: a part is what makes it."""

        def __getattr__(self, name: str) -> Any:
            return Any

    cleaner = forgetting = log = store = database = sessions = transcript = _Unloaded()
    user_budgets = cancel = decide = notes = send = summaries = _Unloaded()
    erasure = export = renaming = _Unloaded()

T = TypeVar("T")

_PARTS = "parts"
_INVOCATION = "invocation"
_ROUTES = "routes"


def context_of(
    parts: object, invocation: object, routes: project_routes.ProjectRoutes | None = None
) -> dict[str, Any]:
    """Return what is to be in a request's context, so that its route is given what it asks for.

    Args:
        parts: The process's parts: a `Composition`, or what has those of its attributes that the
            routes ask for.
        invocation: Lambda's context; None where no route asks how long is left.
        routes: Those of the project; None where no route asks for them.
    """
    return {_PARTS: parts, _INVOCATION: invocation, _ROUTES: routes}


def parts_of(request: Request) -> Any:
    """Return the parts that the function's `Api` was given."""
    return request.context[_PARTS]


@resolved
def caller(request: Request) -> identity.Caller:
    """Return the user whose request this is.

    Raises:
        Unauthenticated: The event names no user.
    """
    return identity.identify(request.resolved_event)


@resolved
def administrator(request: Request) -> identity.Caller:
    """Return the administrator whose request this is.

    That it was asked for, allowed or refused is recorded before (`audit`).

    Raises:
        Unauthenticated: The event names no user.
        MissingScope: The caller may not administer.
    """
    user = caller(request)
    user.require(identity.ADMIN)
    return user


@resolved
def deadline(request: Request) -> timing.Deadline:
    """Return when the invocation ends."""
    return timing.Deadline.of_invocation(request.context[_INVOCATION])


@resolved
def routes(request: Request) -> project_routes.ProjectRoutes:
    """Return the routes of the project's own."""
    found: project_routes.ProjectRoutes = request.context[_ROUTES]
    return found


def part(pick: Callable[[Composition], T]) -> Depends:
    """Return a dependency on one of the parts, which is made when it is first asked for."""

    @resolved
    def picked(request: Request) -> Any:
        return pick(parts_of(request))

    return Depends(picked)


Caller = Annotated[identity.Caller, Depends(caller)]
Administrator = Annotated[identity.Caller, Depends(administrator)]
Deadline = Annotated[timing.Deadline, Depends(deadline)]
Routes = Annotated[project_routes.ProjectRoutes, Depends(routes)]

Database = Annotated[database.Database, part(lambda parts: parts.database)]
Sessions = Annotated[sessions.SessionRepository, part(lambda parts: parts.sessions)]
Transcript = Annotated[transcript.Transcript, part(lambda parts: parts.transcript)]
Store = Annotated[store.AgentSessionStore, part(lambda parts: parts.store)]
Events = Annotated[log.EventLog, part(lambda parts: parts.events)]
Forgetter = Annotated[forgetting.Forgetter, part(lambda parts: parts.forgetter)]
SummaryReader = Annotated[summaries.SummaryReader, part(lambda parts: parts.summary_reader)]
Sender = Annotated[send.Sender, part(lambda parts: parts.sender)]
Canceller = Annotated[cancel.Canceller, part(lambda parts: parts.canceller)]
Decider = Annotated[decide.Decider, part(lambda parts: parts.decider)]
Cleaner = Annotated[cleaner.Cleaner, part(lambda parts: parts.cleaner)]
Eraser = Annotated[erasure.Eraser, part(lambda parts: parts.eraser)]
Exporter = Annotated[export.Exporter, part(lambda parts: parts.exporter)]
Renamer = Annotated[renaming.Renamer, part(lambda parts: parts.renamer)]
UserBudgets = Annotated[user_budgets.UserBudgets, part(lambda parts: parts.user_budgets)]
Noter = Annotated[notes.Noter, part(lambda parts: parts.noter)]
MessageMaxChars = Annotated[int, part(lambda parts: parts.message_max_chars)]
