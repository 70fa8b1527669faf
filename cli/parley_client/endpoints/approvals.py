"""Approvals: what agents ask people for, before they do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from parley_client.call import Call, Page, Series, below, present, shown_as
from parley_client.models import AnyApproval, ApprovalStatus, DecidedApproval, Decision


def list_approvals(
    *, status: ApprovalStatus | None = None, page_size: int = 100
) -> Series[DecidedApproval]:
    """List what agents have asked the user to approve, newest first."""
    return Series(
        lambda cursor: Call(
            "GET",
            "/approvals",
            shown_as(Page[DecidedApproval]),
            query={"status": status, "limit": page_size, "cursor": cursor},
        )
    )


def read_approval(approval_id: UUID | str) -> Call[DecidedApproval]:
    """Read an approval: the call, and what was decided on it."""
    return Call("GET", below("/approvals", approval_id), shown_as(DecidedApproval))


def decide_approval(
    approval_id: UUID | str,
    decision: Decision,
    *,
    reason: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Call[DecidedApproval]:
    """Approve or reject a call of a tool; deciding the same again is harmless.

    Args:
        approval_id: Which.
        decision: `approve` or `reject`.
        reason: Why; of a call that is rejected the agent is told it.
        arguments: What the tool is called with instead, where `editable` says that it may be.
    """
    return Call(
        "POST",
        below("/approvals", approval_id),
        shown_as(DecidedApproval),
        body=present(decision=decision, reason=reason, arguments=arguments),
    )


def list_all_approvals(
    *, status: ApprovalStatus | None = None, page_size: int = 100
) -> Series[AnyApproval]:
    """List what agents have asked of all users, newest first; for administrators."""
    return Series(
        lambda cursor: Call(
            "GET",
            "/admin/approvals",
            shown_as(Page[AnyApproval]),
            query={"status": status, "limit": page_size, "cursor": cursor},
        )
    )


def read_any_approval(approval_id: UUID | str) -> Call[AnyApproval]:
    """Read anybody's approval; for administrators."""
    return Call("GET", below("/admin/approvals", approval_id), shown_as(AnyApproval))


def decide_any_approval(
    approval_id: UUID | str,
    decision: Decision,
    *,
    reason: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Call[AnyApproval]:
    """Do as `decide_approval` does, where an administrator may decide."""
    own = decide_approval(approval_id, decision, reason=reason, arguments=arguments)
    return Call("POST", f"/admin{own.path}", shown_as(AnyApproval), body=own.body)
