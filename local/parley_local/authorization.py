"""Lambda authorizers: asked, cached and obeyed as API Gateway does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parley.errors import ParleyError
from parley_local.pool import Pool
from parley_local.proxy import proxy_event
from parley_local.request_context import RequestContext
from parley_local.template import Authorizer

EXPLICIT_DENY = "User is not authorized to access this resource with an explicit deny"


class Refused(ParleyError):
    """The request may not go on; `kind` is the gateway response that says so."""

    def __init__(self, kind: str, message: str | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message


@dataclass(frozen=True)
class _Verdict:
    principal: str
    statements: tuple[dict[str, Any], ...]
    context: Mapping[str, str]


class Gatekeeper:
    """One authorizer of the template, with its cache."""

    def __init__(
        self, authorizer: Authorizer, pool: Pool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._authorizer = authorizer
        self._pool = pool
        self._clock = clock
        self._kept: dict[tuple[str | None, ...], tuple[float, _Verdict]] = {}

    async def admit(self, context: RequestContext, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return what the request context says of the caller, if the policy lets it in.

        Raises:
            Refused: No or no good identity, a policy that denies, or an authorizer that failed.
        """
        identity = self._identity(context)
        started = self._clock()
        verdict = self._remembered(identity, started)
        latency = 0
        if verdict is None:
            verdict = await self._ask(context, parameters, identity[0])
            latency = round((self._clock() - started) * 1000)
            if self._authorizer.ttl > 0:
                self._kept[identity] = (started + self._authorizer.ttl, verdict)
        self._obey(verdict, context.method_arn)
        return {
            **verdict.context,
            "principalId": verdict.principal,
            "integrationLatency": latency,
        }

    def _identity(self, context: RequestContext) -> tuple[str | None, ...]:
        query = dict(context.request.query_values())
        identity = (
            *(context.request.header(name) for name in self._authorizer.headers),
            *(query.get(name) for name in self._authorizer.query_strings),
        )
        token = self._authorizer.kind == "TOKEN"
        # Without a cache, API Gateway lets a REQUEST authorizer itself judge a missing source.
        if (token or self._authorizer.ttl > 0) and not all(identity):
            raise Refused("UNAUTHORIZED")
        pattern = self._authorizer.pattern
        if token and pattern and not re.search(pattern, identity[0] or ""):
            raise Refused("UNAUTHORIZED")
        return identity

    def _remembered(self, identity: tuple[str | None, ...], now: float) -> _Verdict | None:
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
        kept = self._kept.get(identity)
        return kept[1] if kept else None

    async def _ask(
        self, context: RequestContext, parameters: Mapping[str, str], token: str | None
    ) -> _Verdict:
        event: dict[str, Any]
        if self._authorizer.kind == "TOKEN":
            event = {
                "type": "TOKEN",
                "authorizationToken": token,
                "methodArn": context.method_arn,
            }
        else:
            request = proxy_event(context, parameters)
            del request["body"], request["isBase64Encoded"]
            event = {"type": "REQUEST", "methodArn": context.method_arn, **request}
        answer = await self._pool.invoke(event, context.request_id)
        if answer.error is not None:
            # The one message by which an authorizer says 401.
            unauthorized = answer.error.get("errorMessage") == "Unauthorized"
            raise Refused("UNAUTHORIZED" if unauthorized else "AUTHORIZER_FAILURE")
        return _read_verdict(answer.result)

    @staticmethod
    def _obey(verdict: _Verdict, method_arn: str) -> None:
        effects = {s["Effect"] for s in verdict.statements if _covers(s, method_arn)}
        if "Deny" in effects:
            raise Refused("ACCESS_DENIED", EXPLICIT_DENY)
        if "Allow" not in effects:
            raise Refused("ACCESS_DENIED")


def _read_verdict(answer: Any) -> _Verdict:
    """Check an authorizer's answer as strictly as API Gateway does."""
    if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR")
    policy = answer.get("policyDocument")
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not all(
        isinstance(s, dict) and s.get("Effect") in ("Allow", "Deny") and "Resource" in s
        for s in statements
    ):
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR")
    context = answer.get("context") or {}
    if not isinstance(context, dict) or any(
        isinstance(value, dict | list) for value in context.values()
    ):
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR")
    texts = {
        # API Gateway makes a string of every value.
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in context.items()
        if value is not None
    }
    return _Verdict(answer["principalId"], tuple(statements), texts)


def _covers(statement: dict[str, Any], method_arn: str) -> bool:
    actions = _list(statement.get("Action", []))
    if not any(_like(action.lower(), "execute-api:invoke") for action in actions):
        return False
    return any(_like(resource, method_arn) for resource in _list(statement["Resource"]))


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _like(pattern: str, text: str) -> bool:
    """Match as IAM does: `*` is any text, `?` any one character."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, text, re.DOTALL) is not None
