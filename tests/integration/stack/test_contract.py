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


def _test_of(operation_id: str) -> Any:
    """Make the test of one operation.

    Made by one decorator for all of them they would share an id, and of those xdist runs only one.
    """

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
            checks=CHECKS,
            timeout=HANG_SECONDS,
        )

    return every_answer_is_as_documented


for _path in document()["paths"].values():
    for _operation in _path.values():
        _id = _operation["operationId"]
        globals()[f"test_every_answer_of_{_id}_is_as_documented"] = _test_of(_id)
