"""What front ends send to answer what a turn has asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic_core import to_json

from parley.errors import InvalidField, NotFound
from parley.http.approval_schemas import REASON_MAX_CHARS, Arguments
from parley.repository.approvals import Decision
from parley.text import storable
from parley.turns.answers import Answer

MAX = 100
"""How many answers a request may have."""


class Payload(BaseModel):
    """What AG-UI's clients answer; what is not named here is passed over."""

    approved: StrictBool
    reason: str | None = Field(None, max_length=REASON_MAX_CHARS)
    edited_args: Arguments | None = Field(
        None, alias="editedArgs", description="What the tool is called with instead."
    )


class ResumeEntry(BaseModel):
    """An answer to an interrupt."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "interruptId": "01939d5c-2c00-7000-8000-000000000004",
                    "status": "resolved",
                    "payload": {"approved": True},
                }
            ]
        }
    )

    interrupt_id: str = Field(alias="interruptId", min_length=1, max_length=255)
    status: Literal["resolved", "cancelled"] = Field(
        description=(
            "What is `cancelled` is rejected, if it is open and yours to decide; else it is left to"
            " what was, or will be, decided on it."
        )
    )
    payload: Payload | None = None


class _ApprovalPart(BaseModel):
    """The `approval` of a part of the AI SDK's that was answered."""

    id: str = Field(min_length=1, max_length=255)
    approved: StrictBool
    reason: str | None = Field(None, max_length=REASON_MAX_CHARS)


def of_resume(entries: Iterable[ResumeEntry]) -> dict[UUID, Answer]:
    """Return the answers that AG-UI's `resume` holds.

    Raises:
        InvalidField: One says nothing, or there are two to one interrupt.
        NotFound: One is to nothing that can have been asked.
    """
    given: dict[UUID, Answer] = {}
    for place, entry in enumerate(entries):
        payload, edited = entry.payload, None
        if entry.status == "cancelled":
            answer = Answer(None)
        elif payload is None:
            raise InvalidField(f"resume.{place}.payload", "is missing; it says whether `approved`")
        else:
            if payload.edited_args is not None:
                edited = storable(to_json(payload.edited_args).decode())
            answer = Answer(_status(payload.approved), _storable(payload.reason), edited)
        _add(given, entry.interrupt_id, answer, "resume")
    return given


def of_message(message: Mapping[str, Any]) -> dict[UUID, Answer]:
    """Return the answers that a message of the AI SDK's holds in its parts.

    Raises:
        InvalidField: They are not as the AI SDK makes them.
        NotFound: One is to nothing that can have been asked.
    """
    given: dict[UUID, Answer] = {}
    parts = message.get("parts")
    for part in parts if isinstance(parts, list) else []:
        if not isinstance(part, dict) or part.get("state") != "approval-responded":
            continue
        try:
            said = _ApprovalPart.model_validate(part.get("approval"))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(["approval", *map(str, first["loc"])])
            raise InvalidField("messages", f"{place} of a part: {first['msg']}") from None
        _add(given, said.id, Answer(_status(said.approved), _storable(said.reason)), "messages")
    return given


def _add(given: dict[UUID, Answer], named: str, answer: Answer, field: str) -> None:
    try:
        approval_id = UUID(named)
    except ValueError:
        raise NotFound("approval", named) from None
    if approval_id in given:
        raise InvalidField(field, f"answers {named} twice")
    if len(given) == MAX:
        raise InvalidField(field, f"holds more than {MAX} answers")
    given[approval_id] = answer


def _status(approved: bool) -> Decision:
    return "approved" if approved else "rejected"


def _storable(reason: str | None) -> str | None:
    return None if reason is None else storable(reason)
