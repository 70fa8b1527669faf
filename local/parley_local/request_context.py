"""What API Gateway knows of one request beside the request itself."""

from __future__ import annotations

import base64
import os
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from parley_local.lambda_identity import ACCOUNT, REGION
from parley_local.messages import HttpRequest

API_ID = "local"


@dataclass(frozen=True)
class RequestContext:
    """The ids and the time of one request. `route_path` is the template's path for it."""

    request: HttpRequest
    stage: str
    route_path: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_request_id: str = field(
        default_factory=lambda: base64.urlsafe_b64encode(os.urandom(11)).decode()
    )
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def path(self) -> str:
        """The request's path as it is seen from outside, with the stage."""
        return f"/{self.stage}{self.request.path}"

    @property
    def method_arn(self) -> str:
        """The ARN that an authorizer's policy allows or denies."""
        path = self.request.path.removeprefix("/")
        api = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}"
        return f"{api}/{self.stage}/{self.request.method}/{path}"

    def as_event(self, authorizer: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the event's `requestContext`; the authorizer's result is in it when given."""
        request = self.request
        context: dict[str, Any] = {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": request.header("host") or "localhost",
            "domainPrefix": (request.header("host") or "localhost").split(".")[0],
            "extendedRequestId": self.extended_request_id,
            "httpMethod": request.method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": request.client,
                "user": None,
                "userAgent": request.header("user-agent"),
                "userArn": None,
            },
            "path": self.path,
            "protocol": request.protocol,
            "requestId": self.request_id,
            "requestTime": self.time.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(self.time.timestamp() * 1000),
            "resourceId": uuid.uuid5(uuid.NAMESPACE_URL, self.route_path).hex[:6],
            "resourcePath": self.route_path,
            "stage": self.stage,
        }
        if authorizer is not None:
            context["authorizer"] = authorizer
        return context
