"""What requests and responses about approvals look like; the OpenAPI document is made of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, JsonValue
from pydantic_core import PydanticCustomError, to_json

from parley.http.schemas import RequestBody, ShownApproval, example
from parley.repository.approvals import Approval

ARGUMENTS_MAX_BYTES = 64 * 1024
REASON_MAX_CHARS = 1000


def _small(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(arguments)) > ARGUMENTS_MAX_BYTES:
        raise PydanticCustomError(
            "too_long", "has more than {limit} bytes as JSON", {"limit": ARGUMENTS_MAX_BYTES}
        )
    return arguments


Arguments = Annotated[dict[str, JsonValue], AfterValidator(_small)]
"""What a tool is called with instead."""


class Deciding(RequestBody):
    """What is decided on a call."""

    model_config = example(decision="approve", reason="The parcel was lost.")

    decision: Literal["approve", "reject"]
    reason: str | None = Field(
        None,
        max_length=REASON_MAX_CHARS,
        description="Why; of a call that is rejected the agent is told it.",
    )
    arguments: Arguments | None = Field(
        None,
        description="What the tool is called with instead, where `editable` says that it may be.",
    )


class DecidedApproval(ShownApproval):
    """A call that somebody has to decide on, or has, and in whose turn."""

    session_id: UUID
    turn_id: UUID

    @classmethod
    def of(cls, approval: Approval) -> Self:
        """Show an approval."""
        shown = ShownApproval.shown(approval)
        return cls(session_id=approval.session_id, turn_id=approval.turn_id, **dict(shown))


class ApprovalList(BaseModel):
    """A page of approvals."""

    items: list[DecidedApproval]
    next_cursor: str | None


class AnyApproval(DecidedApproval):
    """An approval with whose it is and who decided."""

    user_id: str
    agent: str
    decided_by: str | None

    @classmethod
    def of(cls, approval: Approval) -> Self:
        """Show an approval."""
        return cls(
            user_id=approval.user_id,
            agent=approval.agent,
            decided_by=approval.decided_by,
            **dict(DecidedApproval.of(approval)),
        )


class AnyApprovalList(BaseModel):
    """A page of all users' approvals."""

    items: list[AnyApproval]
    next_cursor: str | None
