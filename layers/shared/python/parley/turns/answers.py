"""Answering all at once what a turn has asked for, as the protocols of front ends do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from parley.errors import AlreadyDecided, InvalidField, NotFound
from parley.repository import approvals
from parley.repository.approvals import Approval, Decision
from parley.repository.conversations import conversation
from parley.threads import in_thread_with_retry
from parley.turns.decide import Decider


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to one thing that was asked.

    Attributes:
        status: What is decided. None if that is given up: what is open and the answerer's to decide
            is rejected; otherwise it stays as it is, or with who decides on it.
        reason: Why, in words.
        edited: What the tool is to be called with instead, JSON text.
    """

    status: Decision | None
    reason: str | None = None
    edited: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to what turns of a conversation have asked for.

    Attributes:
        user_id: Whose conversation it is, and who answers.
        may: Their scopes, and `admin` if they are an administrator.
        key: The idempotency key that its session was made with.
        session_id: The session's id, if it may be that.
        agent: Whose the session must be to be known by its id; None if any will do.
        given: The answers, by approval.
        field: Where they stand in the request; what cannot be taken is told so.
    """

    user_id: str
    may: Collection[str]
    key: str
    session_id: UUID | None
    agent: str | None
    given: Mapping[UUID, Answer]
    field: str


async def look_at(decider: Decider, answers: Answers) -> Sequence[Approval]:
    """Look at all that is answered, before any of it is decided on.

    Returns:
        What is answered, of one turn.

    Raises:
        NotFound: Nothing such was asked for in this conversation.
        InvalidField: They are of several turns, or leave something unanswered, or change arguments
            that may not be changed, or not so.
        MayNotDecide: Somebody else decides on one of them.
        AlreadyDecided: Somebody else has decided, or otherwise, or its time is over.
        StoreUnavailable: Postgres cannot serve now.
    """
    asked = await in_thread_with_retry(
        approvals.asked_with,
        decider.database,
        answers.user_id,
        conversation(answers.user_id, answers.key, answers.session_id, answers.agent),
        list(answers.given),
    )
    answered = _answered(asked, answers)
    for approval in answered:
        given = answers.given[approval.id]
        if given.status is not None:
            decider.check(
                approval,
                given.status,
                by=answers.user_id,
                may=answers.may,
                edited=given.edited,
                field="editedArgs",
            )
            _check_same(approval, given, answers.user_id)
    return answered


async def decide_on(decider: Decider, answered: Sequence[Approval], answers: Answers) -> None:
    """Decide on all that was looked at.

    Who is quicker with one of them is told of as of any decision; what was decided on by then
    stays, and the same answers can be given again.

    Raises:
        Exception: As `look_at`.
    """
    for approval in answered:
        await _decide(decider, approval, answers.given[approval.id], answers)


def _answered(asked: Sequence[Approval], answers: Answers) -> list[Approval]:
    answered = [each for each in asked if each.id in answers.given]
    known = {each.id for each in answered}
    for approval_id in answers.given:
        if approval_id not in known:
            raise NotFound("approval", approval_id)
    if len({each.turn_id for each in answered}) > 1:
        raise InvalidField(answers.field, "answers what several turns have asked for")
    # What a turn asks for when it has gone on is another matter.
    at_once = {each.created_at for each in answered}
    left = [
        str(each.id)
        for each in asked
        if each.created_at in at_once
        and each.id not in known
        and each.is_open
        and each.may_be_decided_by(answers.user_id, answers.may)
    ]
    if left:
        raise InvalidField(
            answers.field, f"leaves unanswered what was asked for with it: {', '.join(left)}"
        )
    return answered


def _check_same(approval: Approval, given: Answer, user_id: str) -> None:
    decided = (approval.status, approval.decided_by, approval.edited_arguments)
    if not approval.is_open and decided != (given.status, user_id, given.edited):
        raise AlreadyDecided(approval.id, approval.status)


async def _decide(decider: Decider, approval: Approval, given: Answer, answers: Answers) -> None:
    user_id, may = answers.user_id, answers.may
    if given.status is not None:
        await decider.decide(
            approval.id,
            given.status,
            by=user_id,
            may=may,
            reason=given.reason,
            edited=given.edited,
        )
    elif approval.is_open and approval.may_be_decided_by(user_id, may):
        try:
            await decider.decide(approval.id, "rejected", by=user_id, may=may)
        except AlreadyDecided:
            return  # that is what giving up leaves to others
