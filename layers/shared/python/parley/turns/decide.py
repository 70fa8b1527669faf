"""Deciding: a person says whether a call of a turn's is made, and the turn goes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from pydantic_core import from_json

from parley.errors import AlreadyDecided, InvalidField, MayNotDecide
from parley.observability import logger
from parley.repository import approvals
from parley.repository.approvals import Approval, Decision
from parley.repository.database import Database
from parley.threads import in_thread_with_retry
from parley.turns.tool_schema import fault_of
from parley.turns.wakeup import Waker


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides on approvals, for those who may."""

    database: Database
    waker: Waker = field(default_factory=Waker)

    async def decide(
        self,
        approval_id: UUID,
        status: Decision,
        *,
        by: str,
        may: Collection[str],
        reason: str | None = None,
        edited: str | None = None,
        as_administrator: bool = False,
    ) -> Approval:
        """Decide on an approval; the last that a turn waits for has a worker woken for it.

        If nobody is woken, since this process dies or the queue takes nothing, the recovery finds
        the turn. Deciding the same again is harmless, and wakes again.

        Args:
            approval_id: Which.
            status: What is decided.
            by: Who decides.
            may: Their scopes, and `admin` if they are an administrator.
            reason: Why, in words; who is rejected is told.
            edited: What the tool is to be called with instead, JSON text.
            as_administrator: Whether approvals are looked for among everybody's.

        Returns:
            The approval as it is now.

        Raises:
            NotFound: There is none such that the caller may see.
            MayNotDecide: The caller may not decide on it.
            InvalidField: Its arguments may not be changed, or not so.
            AlreadyDecided: Somebody else has decided, or otherwise, or its time is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        owner = None if as_administrator else by
        found = await in_thread_with_retry(approvals.get, self.database, approval_id, owner, may)
        self.check(found, status, by=by, may=may, edited=edited)
        decided = await in_thread_with_retry(
            approvals.decide,
            self.database,
            found,
            status,
            by=by,
            reason=reason,
            edited=edited,
            anybody=found.user_id != by,
        )
        now = decided.approval
        same = (now.status, now.decided_by, now.edited_arguments) == (status, by, edited)
        if decided.goes_on or (same and not decided.by_this):
            await self.waker.wake(now.session_id, user_id=now.user_id)
        logger().info(
            "deciding",
            approval_id=str(now.id),
            turn_id=str(now.turn_id),
            status=now.status,
            decided=decided.by_this,
        )
        if not same:
            raise AlreadyDecided(now.id, now.status)
        return now

    def check(
        self,
        found: Approval,
        status: Decision,
        *,
        by: str,
        may: Collection[str],
        edited: str | None = None,
        field: str = "arguments",
    ) -> None:
        """Raise unless somebody may decide so on an approval, if it is open.

        Args:
            found: The approval.
            status: What is decided.
            by: Who decides.
            may: Their scopes, and `admin` if they are an administrator.
            edited: What the tool is to be called with instead, JSON text.
            field: Where that stands in the request.

        Raises:
            MayNotDecide: The caller may not decide on it.
            InvalidField: Its arguments may not be changed, or not so.
        """
        if not found.may_be_decided_by(by, may):
            raise MayNotDecide(found.decider)
        if edited is None:
            return
        if status != "approved":
            raise InvalidField(field, "are changed only by who approves")
        if not found.editable:
            raise InvalidField(field, f"of {found.tool} may not be changed")
        if found.arguments_schema is None:
            return  # as the release before asked
        fault = fault_of(from_json(edited), found.arguments_schema)
        if fault is not None:
            raise InvalidField(".".join([field, *map(str, fault.path)]), fault.reason)
