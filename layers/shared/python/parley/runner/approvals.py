"""Calls of tools that somebody has to approve: asked for, and carried out as they were approved.

No state of the SDK's is kept. An attempt that goes on replays the turn's records, comes to the same
calls, and is told what was decided on each. Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from agents import FunctionTool, Tool, ToolApprovalItem
from agents.result import RunResult
from agents.run_state import RunState
from pydantic_core import to_json

from parley.errors import ParleyError
from parley.observability import logger, traced
from parley.repository.approvals import ASKED_BYTES, USER, Asked, digest_of, rejection
from parley.repository.paging import written_bytes
from parley.text import storable, storable_json
from parley.turns.attempt import Attempt, current_attempt

REASON_MAX_CHARS = 1000
"""Of a decision, as the agent and the user are told of it."""

SCHEMA_MAX_BYTES = 64 * 1024
"""Of a tool's arguments, as it is kept with an approval that may change them."""


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Which calls of a tool somebody has to approve, and who: what `approval` makes.

    Attributes:
        by: `user`, `admin`, or a scope.
        when: Whether a call needs it; None where all do.
        editable: Whether who approves may change the arguments.
    """

    by: str = USER
    when: Callable[[Any, dict[str, Any], str], Any] | None = None
    editable: bool = False

    async def __call__(self, context: Any, arguments: dict[str, Any], call_id: str) -> bool:
        """Tell whether a call needs approval."""
        if self.when is None:
            return True
        try:
            return await _is_needed(self.when, context, arguments, call_id)
        except Exception as error:
            # A person sees the call as the model made it; what it lacks, the tool itself refuses.
            logger().warning(
                "whether a call needs approval could not be told", call=call_id, **traced(error)
            )
            return True


def approval(
    by: str = USER,
    *,
    when: Callable[[Any, dict[str, Any], str], Any] | None = None,
    editable: bool = False,
) -> ApprovalPolicy:
    """Make a tool's `needs_approval` that also says who approves.

    Args:
        by: Who may: `user`, whose turn it is; `admin`, who has the scope `parley:admin`; or another
            scope, which anybody with it may use, also for other users' turns.
        when: Whether a call needs it, by the run's context, its arguments and its id; may be async.
            All do, if it is left out, and one for which it raises an exception does.
        editable: Whether who approves may change the arguments.

    Raises:
        ValueError: `by` names nobody.
    """
    if not by.strip() or len(by.split()) > 1:
        raise ValueError(f"by is {by!r}; it is 'user', 'admin', or a scope")
    return ApprovalPolicy(by, when, editable)


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of a tool whose call needs approval; `schema` is that of its arguments."""

    policy: ApprovalPolicy
    schema: Any


class Paused(ParleyError):
    """The run cannot go on before somebody has decided.

    Attributes:
        asked: On which calls.
    """

    def __init__(self, asked: list[Asked]) -> None:
        super().__init__(f"{len(asked)} calls are to be decided on")
        self.asked = asked


class NotCarriedOn(ParleyError):
    """What was decided cannot be carried out: the run came to another call, or to one of no kind
    that can wait; the message says which.
    """

    code = "approval_not_carried_on"


class TooMuchAsked(NotCarriedOn):
    """What the run stops for is more than people can be asked at once."""

    code = "approval_too_large"


@dataclass(frozen=True, slots=True)
class _InTurn:
    """A tool's `needs_approval`, which in a turn holds to what was decided.

    Asked afresh it could answer otherwise than before: what was rejected would then be done.
    """

    given: Any
    policy: ApprovalPolicy = field(default_factory=ApprovalPolicy)

    async def __call__(self, context: Any, arguments: dict[str, Any], call_id: str) -> bool:
        attempt = current_attempt()
        if attempt is not None:
            if call_id in attempt.decisions:
                return True
            if call_id in attempt.journal.outputs or call_id in attempt.journal.not_called:
                return False
        if not callable(self.given):
            return bool(self.given)
        return await _is_needed(self.given, context, arguments, call_id)


async def _is_needed(
    when: Callable[[Any, dict[str, Any], str], Any],
    context: Any,
    arguments: dict[str, Any],
    call_id: str,
) -> bool:
    needed = when(context, arguments, call_id)
    return bool(await needed if inspect.isawaitable(needed) else needed)


def hold_to_decisions(tools: Iterable[Tool]) -> None:
    """Have tools that may need approval hold to what was decided in a turn, in place, once."""
    attempt = current_attempt()
    decided = attempt is not None and bool(attempt.decisions)
    for tool in tools:
        if not isinstance(tool, FunctionTool) or isinstance(tool.needs_approval, _InTurn):
            continue
        given = tool.needs_approval
        if given is not False or decided:  # a deployment may have taken it away
            policy = given if isinstance(given, ApprovalPolicy) else ApprovalPolicy()
            tool.needs_approval = _InTurn(given, policy)


def note_policies(
    output: Iterable[dict[str, Any]], tools: Iterable[Tool], attempt: Attempt
) -> None:
    """Note for each call of a response who may approve it, if that is needed."""
    by_name = {
        tool.name: Noted(tool.needs_approval.policy, tool.params_json_schema)
        for tool in tools
        if isinstance(tool, FunctionTool) and isinstance(tool.needs_approval, _InTurn)
    }
    for item in output:
        if item.get("type") == "function_call" and item.get("name") in by_name:
            attempt.policies[item["call_id"]] = by_name[item["name"]]


def as_decided(output: list[dict[str, Any]], attempt: Attempt) -> list[dict[str, Any]]:
    """Return a recorded response with the arguments that who approved has put in."""
    return [
        item | {"arguments": edited} if (edited := _edited(item, attempt)) is not None else item
        for item in output
    ]


def _edited(item: dict[str, Any], attempt: Attempt) -> str | None:
    decision = attempt.decisions.get(item.get("call_id", ""))
    return None if decision is None else decision.edited_arguments


def decided(result: RunResult, attempt: Attempt) -> RunState[Any]:
    """Return the state in which a run goes on that has stopped for approval.

    Raises:
        Paused: Somebody has to decide first.
        NotCarriedOn: What was decided is not what the run has come to, or it asks for too much.
    """
    waiting: list[Asked] = []
    state = result.to_state()
    for item in result.interruptions:
        asked = _asked(item, attempt)
        decision = attempt.decisions.get(asked.call_id)
        if decision is None:
            waiting.append(asked)
        elif decision.digest != asked.digest:
            raise NotCarriedOn(
                f"The call of {asked.tool} is not the one that was decided on: a deployment has"
                " changed the agent."
            )
        elif decision.status == "approved":
            state.approve(item)
        else:
            told = rejection(decision.status, decision.reason)
            state.reject(item, rejection_message=told)
    if waiting:
        if sum(written_bytes(each.arguments) for each in waiting) > ASKED_BYTES:
            raise TooMuchAsked(
                "The arguments of the calls that need approval come to more than"
                f" {ASKED_BYTES} bytes, as JSON."
            )
        raise Paused(waiting)
    return state


def _asked(item: ToolApprovalItem, attempt: Attempt) -> Asked:
    call = item.raw_item
    call_id, kind = getattr(call, "call_id", None), getattr(call, "type", None)
    if kind != "function_call" or not isinstance(call_id, str):
        raise NotCarriedOn(
            f"The agent asked for approval of {item.name or 'a tool'}, which is no function tool."
        )
    noted: Noted = attempt.policies.get(call_id) or Noted(ApprovalPolicy(), None)
    policy = noted.policy
    return Asked(
        call_id=call_id,
        agent=storable(item.agent.name),
        tool=item.name or "?",
        arguments=storable(item.arguments or ""),
        decider=policy.by,
        editable=policy.editable,
        schema=_kept(noted.schema) if policy.editable else None,
    )


def _kept(schema: Any) -> Any:
    """Return a tool's schema as it is kept; None if it is so large that the tool has to do."""
    return storable_json(schema) if len(to_json(schema)) <= SCHEMA_MAX_BYTES else None


def require_digest(call_id: str, agent: str, tool: str, arguments: str, attempt: Attempt) -> None:
    """Let a call go on only if it is the one that was approved, where one had to be.

    Raises:
        NotCarriedOn: It is not.
    """
    decision = attempt.decisions.get(call_id)
    if decision is None:
        return
    if decision.status != "approved" or decision.digest != digest_of(agent, tool, arguments):
        raise NotCarriedOn(f"The call of {tool} is not the one that was approved.")
