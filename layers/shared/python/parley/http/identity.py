"""Who calls: what the authorizer said, or nobody."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.errors import MissingScope, Unauthenticated
from parley.repository import approvals
from parley.text import storable

ADMIN = "parley:admin"

REQUEST_ID_MAX_CHARS = 200

LEEWAY_SECONDS = 30
"""How far clocks may be apart: as much as the authorizer allows."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The user whose request this is.

    Attributes:
        user_id: The token's subject.
        scopes: What the token allows.
        request_id: Of the request.
    """

    user_id: str
    scopes: frozenset[str]
    request_id: str | None = None

    def require(self, scope: str) -> None:
        """Let only a caller with the scope go on.

        Raises:
            MissingScope: The caller does not have it.
        """
        if scope not in self.scopes:
            raise MissingScope(scope)


def deciders(user: Caller) -> frozenset[str]:
    """Return the words by which a tool may mean the caller, besides that the turn is theirs."""
    scopes = user.scopes - {approvals.USER, approvals.ADMIN}
    return scopes | {approvals.ADMIN} if ADMIN in scopes else scopes


def identify(event: Mapping[str, Any]) -> Caller:
    """Read the authorizer's answer from the event.

    API Gateway keeps an answer for some minutes, also past the token's end, so the end is looked
    at again.

    Raises:
        Unauthenticated: There is no user, or the token has ended.
    """
    context = event.get("requestContext") or {}
    answer = context.get("authorizer") or {}
    user_id, expiry = answer.get("user_id"), answer.get("exp")
    if not isinstance(user_id, str) or not user_id:
        raise Unauthenticated("the event names no user")
    try:
        end = float(str(expiry))
    except ValueError as error:
        raise Unauthenticated("the event does not say until when the token is good") from error
    if not end + LEEWAY_SECONDS >= time.time():  # so asked, what is not a number has expired too
        raise Unauthenticated("the token has expired")
    request_id = storable(str(context.get("requestId") or ""))[:REQUEST_ID_MAX_CHARS] or None
    return Caller(user_id, frozenset(str(answer.get("scopes") or "").split()), request_id)
