"""The authorizer of the REST API: names the user whom a bearer token speaks for.

It is of type TOKEN: the one `Authorization` header is all it judges, so that header is the whole
cache key, and API Gateway answers 401 for a missing one without an invocation.
"""

from __future__ import annotations

from parley import starting

starting.begin()

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from issuer_keys import IssuerKeys
from tokens import Refused, TokenVerifier, bearer_token

from parley.config import load_settings
from parley.log_format import formatter

logger = Logger(logger_formatter=formatter())
# Read at init, so that a missing setting stops the function before it judges anybody.
settings = load_settings("issuer")
verifier = TokenVerifier(
    issuer=settings.oidc_issuer or "",
    audience=settings.oidc_audience or "",
    keys=IssuerKeys(settings.oidc_issuer or "", settings.oidc_jwks_url),
)

starting.done()


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an API Gateway TOKEN event with a policy.

    Returns:
        A policy that allows the whole stage, with `user_id`, `scopes` (separated by spaces) and
        `exp` (seconds since 1970) as strings in its context.

    Raises:
        Exception: `Unauthorized`, the one message that API Gateway turns into a 401.
        KeysUnavailable: The issuer is out of reach; API Gateway answers AUTHORIZER_FAILURE.
    """
    resource = _whole_stage(event["methodArn"])
    try:
        caller = verifier.verify(bearer_token(event.get("authorizationToken")))
    except Refused as refused:
        logger.info("token refused", extra={"reason": refused.reason})
        raise Exception("Unauthorized") from None
    return {
        "principalId": caller.user_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resource}
            ],
        },
        "context": {
            "user_id": caller.user_id,
            "scopes": " ".join(caller.scopes),
            "exp": str(caller.expires_at),
        },
    }


def _whole_stage(method_arn: str) -> str:
    """Widen the ARN of a method to its API stage.

    The policy is cached for the token, and the next request with it may be for another route.
    """
    api, stage = method_arn.split("/", 2)[:2]
    return f"{api}/{stage}/*"
