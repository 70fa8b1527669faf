"""Administration leaves a record of each use: in Postgres, and as a line whatever the log's level.

The record is written before anything is done, so what cannot be recorded is not done. The log is
told when it is begun and what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from parley.errors import StoreUnavailable
from parley.http.identity import ADMIN, identify
from parley.observability import recorded, traced
from parley.repository.audit import AuditRepository, Outcome, Use
from parley.text import storable

PREFIX = "/admin/"
_NAMES_WHOM = ("users", "sessions")
_DETAIL_MAX_CHARS = 1000

_learnt: ContextVar[dict[str, Any] | None] = ContextVar("learnt", default=None)


def note_use(action: str, **what: Any) -> None:
    """Add to the record what was asked for in a body, or what came of it. Never what people say."""
    learnt = _learnt.get()
    if learnt is not None:
        learnt.update(what, asked=action)


@dataclass(frozen=True, slots=True)
class Audit:
    """Records the uses of administration."""

    records: AuditRepository

    def answer(
        self, event: Mapping[str, Any], answer: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Record a request, answer it, and record what came of it.

        Args:
            event: The request, of a user who is known.
            answer: Answers it.

        Raises:
            StoreUnavailable: It could not be recorded, so nothing was done.
        """
        use, allowed = _use_of(event)
        line = {
            "administrator": use.administrator,
            "method": event["httpMethod"],
            "path": event["path"],
            "whom": use.whom,
            "query": use.details["query"],
        }
        if not allowed:
            recorded("administration refused", level="WARNING", **line)
            try:
                self.records.begin(use, "refused")
            except StoreUnavailable as error:  # it is refused all the same
                recorded("administration unrecorded", level="ERROR", **line, **traced(error))
            return answer()
        recorded("administration", **line)
        record_id = self.records.begin(use)
        learnt: dict[str, Any] = {}
        token = _learnt.set(learnt)
        try:
            response = answer()
        finally:
            _learnt.reset(token)
        status = int(response["statusCode"])
        outcome: Outcome = "done" if status < 400 else "failed"
        facts = {"outcome": outcome, "status": status, **learnt}
        recorded("administration ended", administrator=use.administrator, whom=use.whom, **facts)
        try:
            self.records.end(record_id, outcome, status, learnt)
        except StoreUnavailable as error:  # it is done, and the record says that it was begun
            recorded("administration unrecorded", level="ERROR", **line, **traced(error))
        return response


def _use_of(event: Mapping[str, Any]) -> tuple[Use, bool]:
    """Read what is asked for, and whether who asks may."""
    caller = identify(event)
    path = str(event["path"])
    kind, _, rest = path.removeprefix(PREFIX).partition("/")
    whom = storable(unquote(rest.partition("/")[0])) if kind in _NAMES_WHOM and rest else None
    query = {
        str(name)[:_DETAIL_MAX_CHARS]: [str(value)[:_DETAIL_MAX_CHARS] for value in values]
        for name, values in (event.get("multiValueQueryStringParameters") or {}).items()
    }
    use = Use(
        administrator=caller.user_id,
        action=f"{event['httpMethod']} {path}"[:_DETAIL_MAX_CHARS],
        whom=whom and whom[:_DETAIL_MAX_CHARS],
        request_id=str((event.get("requestContext") or {}).get("requestId") or ""),
        details={"query": query},
    )
    return use, ADMIN in caller.scopes
