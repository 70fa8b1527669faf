"""The routes by which people decide on what agents ask for: users, and administrators."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic_core import to_json

from parley import loop
from parley.http import identity
from parley.http.approval_schemas import (
    AnyApproval,
    AnyApprovalList,
    ApprovalList,
    DecidedApproval,
    Deciding,
)
from parley.http.audit import note_use
from parley.http.documented import answers
from parley.http.paging import Cursor, Limit
from parley.http.parts import Administrator, Caller, Database, Decider
from parley.repository import approvals
from parley.repository.approvals import Approval
from parley.repository.states import ApprovalStatus
from parley.text import storable

ApprovalId = Annotated[UUID, Path(description="The approval's id.")]

_ONCE = (
    "Each is decided once: of several who decide, one does, and the others are told what was"
    " decided (409 `already_decided`). Deciding the same again is harmless. When all is decided"
    " that a turn waits for, it goes on."
)


router = Router()


@router.get(
    "/approvals",
    operation_id="listApprovals",
    tags=["approvals"],
    summary="List what agents have asked you to approve, newest first",
    responses=answers({200: "A page."}, 422),
)
def list_approvals(
    user: Caller,
    database: Database,
    status: Annotated[ApprovalStatus | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> ApprovalList:
    page = approvals.listed(database, user.user_id, status=status, limit=limit, cursor=cursor)
    return ApprovalList(
        items=[DecidedApproval.of(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/approvals/<approval_id>",
    operation_id="readApproval",
    tags=["approvals"],
    summary="Read an approval: the call, and what was decided on it",
    description="Your own, or one that you may decide on by a scope of your token.",
    responses=answers({200: "The approval."}, 404, 422),
)
def read_approval(user: Caller, database: Database, approval_id: ApprovalId) -> DecidedApproval:
    may = identity.deciders(user)
    return DecidedApproval.of(approvals.get(database, approval_id, user.user_id, may))


@router.post(
    "/approvals/<approval_id>",
    operation_id="decideApproval",
    tags=["approvals"],
    summary="Approve or reject a call of a tool",
    description=f"Who may decide the tool says (`decider`). {_ONCE}",
    responses=answers({200: "The approval as it is now."}, 400, 403, 404, 409, 413, 415, 422),
)
def decide_approval(
    user: Caller, decider: Decider, approval_id: ApprovalId, body: Deciding
) -> DecidedApproval:
    return DecidedApproval.of(_decide(user, decider, approval_id, body))


@router.get(
    "/admin/approvals",
    operation_id="listAllApprovals",
    tags=["admin"],
    summary="List what agents have asked of all users, newest first",
    responses=answers({200: "A page."}, 403, 422),
)
def list_all_approvals(
    user: Administrator,
    database: Database,
    status: Annotated[ApprovalStatus | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> AnyApprovalList:
    page = approvals.listed(database, None, status=status, limit=limit, cursor=cursor)
    return AnyApprovalList(
        items=[AnyApproval.of(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/admin/approvals/<approval_id>",
    operation_id="readAnyApproval",
    tags=["admin"],
    summary="Read anybody's approval",
    responses=answers({200: "The approval."}, 403, 404, 422),
)
def read_any_approval(
    user: Administrator, database: Database, approval_id: ApprovalId
) -> AnyApproval:
    found = approvals.get(database, approval_id, None)
    note_use("read an approval", user_id=found.user_id)
    return AnyApproval.of(found)


@router.post(
    "/admin/approvals/<approval_id>",
    operation_id="decideAnyApproval",
    tags=["admin"],
    summary="Approve or reject a call of a tool that an administrator may decide on",
    description=(f"One that its tool leaves to the user stays the user's (403). {_ONCE}"),
    responses=answers({200: "The approval as it is now."}, 400, 403, 404, 409, 413, 415, 422),
)
def decide_any_approval(
    user: Administrator, decider: Decider, approval_id: ApprovalId, body: Deciding
) -> AnyApproval:
    note_use("decide", approval_id=str(approval_id), decision=body.decision)
    decided = _decide(user, decider, approval_id, body, as_administrator=True)
    note_use("decide", user_id=decided.user_id)
    return AnyApproval.of(decided)


def _decide(
    user: identity.Caller,
    decider: Decider,
    approval_id: UUID,
    body: Deciding,
    *,
    as_administrator: bool = False,
) -> Approval:
    edited = None if body.arguments is None else storable(to_json(body.arguments).decode())
    return loop.run(
        decider.decide(
            approval_id,
            "approved" if body.decision == "approve" else "rejected",
            by=user.user_id,
            may=identity.deciders(user),
            reason=None if body.reason is None else storable(body.reason),
            edited=edited,
            as_administrator=as_administrator,
        )
    )
