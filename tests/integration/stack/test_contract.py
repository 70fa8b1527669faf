"""Every answer that the gateway gives to any request is one that the OpenAPI document tells of."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    use_after_free,
)

from parley.http.document import document
from parley_local.stack import LocalStack
from parley_testing.waiting import HANG_SECONDS

# Unknown query parameters are passed over, as everywhere on the web.
config = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
schema = schemathesis.openapi.from_dict(document(), config=config)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
    use_after_free,
    ignored_auth,
]


# A request that fits the schema may still be refused here, for what no schema can tell: a cursor
# that no list gave, an agent that this deployment has not, both a session's id and its name, a key
# that came with another request, a time too far away. Every other operation takes what fits.
REFUSE_WHAT_FITS = {
    *("readTranscript", "listTurns", "listSessions", "listTasks", "followTurn"),
    *("sendFirstMessage", "streamFirstMessage", "createSession", "createTask", "changeTask"),
    *("sendMessage", "streamMessage", "listAllSessions", "readAnyTranscript", "cleanUp"),
}


def _test_of(operation_id: str) -> Any:
    """Make the test of one operation.

    Made by one decorator for all of them they would share an id, and of those xdist runs only one.
    """

    checks = CHECKS if operation_id in REFUSE_WHAT_FITS else [*CHECKS, positive_data_acceptance]

    @pytest.mark.timeout(3000)
    @schema.include(operation_id=operation_id).parametrize()
    @hypothesis.settings(
        max_examples=25,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def every_answer_is_as_documented(case: schemathesis.Case[Any], stack: LocalStack) -> None:
        case.call_and_validate(
            base_url=stack.url,
            headers=stack.headers("schemathesis"),
            checks=checks,
            timeout=HANG_SECONDS,
        )

    return every_answer_is_as_documented


for _path in document()["paths"].values():
    for _operation in _path.values():
        _id = _operation["operationId"]
        globals()[f"test_every_answer_of_{_id}_is_as_documented"] = _test_of(_id)
