"""Every answer that the gateway gives to any request is one that the OpenAPI document tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.generation.meta import CoveragePhaseData
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

from parley_local.stack import LocalStack
from parley_testing.api.served import served_document
from parley_testing.at_length import times
from parley_testing.waiting import HANG_SECONDS

# Unknown query parameters are passed over, as everywhere on the web.
config = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
schema = schemathesis.openapi.from_dict(served_document(), config=config)

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


# A request that fits the schema may still be refused here, for what no schema can tell. Every other
# operation takes what fits, and these take what fits when that is left out.
REFUSE_WHAT_FITS = {
    *("readTranscript", "listTurns", "listSessions", "listTasks", "followTurn"),
    *("sendFirstMessage", "streamFirstMessage", "createSession", "createTask", "changeTask"),
    *("sendMessage", "streamMessage", "listAllSessions", "readAnyTranscript", "cleanUp"),
    *("listAllTurns", "readAnyToolCalls", "readAnyEvents", "readAnyTurnMemory"),
    *("runAgent", "sendToChat", "readUsage", "readAllUsage"),
    *("listApprovals", "listAllApprovals"),
}


def without_what_no_schema_can_tell() -> dict[str, Any]:
    """Return the document without what depends on other requests, or on the deployment."""
    made = served_document()
    for path in made["paths"].values():
        for operation in path.values():
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", ())
                # A cursor that no list gave; a key that came with another request; a year that no
                # task may have, which OpenAPI has no word for; days that lie too far apart.
                if parameter["name"]
                not in ("cursor", "idempotency-key", "due_before", "from", "to")
            ]
            for parameter in operation["parameters"]:
                if (parameter["in"], parameter["name"]) == ("path", "agent"):
                    parameter["schema"] = {"enum": ["todo"]}
    fields = {name: schema["properties"] for name, schema in _schemas(made)}
    del fields["Cleaning"]["cursor"]
    for name in ("SessionCreation", "FirstMessageSending"):
        # An agent that this deployment has not.
        fields[name]["agent"] = {"enum": ["todo", None]}
    # Answers to what nobody asked, and a history in which the user says nothing, or too much.
    fields["RunAgentInput"]["resume"] = {"enum": [None, []]}
    fields["RunAgentInput"]["messages"] = {"enum": [[], [{"role": "user", "content": "hello"}]]}
    said = [{"role": "user", "parts": [{"type": "text", "text": "hello"}]}]
    fields["ChatRequest"]["messages"] = {"const": said}
    fields["ChatRequest"]["agent"] = {"enum": ["todo", None]}
    # Both a session's id and what is for a session that is made.
    del fields["FirstMessageSending"]["session_id"]
    for name in ("TaskCreation", "TaskChange"):
        fields[name]["due_at"] = {"enum": ["2026-11-20T14:18:42Z", None]}
    return made


def _schemas(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, described in made["components"]["schemas"].items():
        if "properties" in described:
            yield name, described


# Only what fits: of what does not, whether it is refused is looked at with the whole document.
fitting = schemathesis.Config.from_dict(
    {"generation": {"allow-extra-parameters": False, "mode": "positive"}}
)
narrowed = schemathesis.openapi.from_dict(without_what_no_schema_can_tell(), config=fitting)


def _is_like_others(case: schemathesis.Case[Any], seen: Counter[tuple[object, object]]) -> bool:
    """Return whether a request tries another value of a kind of which some were tried.

    Of the thousands of boundary values those of each kind, such as a text that is too long in a
    query, all are sent at length, and else the first and every fourth after it.
    """
    data = None if case.meta is None else case.meta.phase.data
    if not isinstance(data, CoveragePhaseData):
        return False
    kind = (data.scenario, data.parameter_location)
    seen[kind] += 1
    return (seen[kind] - 1) % times(enough=4, full=1) != 0


def _test_of(operation_id: str, *, narrow: bool = False) -> Any:
    """Make the test of one operation.

    Made by one decorator for all of them they would share an id, and of those xdist runs only one.
    """

    seen: Counter[tuple[object, object]] = Counter()
    checks = CHECKS if operation_id in REFUSE_WHAT_FITS else [*CHECKS, positive_data_acceptance]
    if narrow:
        checks = [positive_data_acceptance, not_a_server_error]

    @pytest.mark.timeout(3000)
    @(narrowed if narrow else schema).include(operation_id=operation_id).parametrize()
    @hypothesis.settings(
        max_examples=times(enough=5, full=25),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def every_answer_is_as_documented(case: schemathesis.Case[Any], stack: LocalStack) -> None:
        if _is_like_others(case, seen):
            return
        case.call_and_validate(
            base_url=stack.url,
            headers=stack.headers("schemathesis"),
            checks=checks,
            timeout=HANG_SECONDS,
        )

    return every_answer_is_as_documented


for _path in served_document()["paths"].values():
    for _operation in _path.values():
        _id = _operation["operationId"]
        globals()[f"test_every_answer_of_{_id}_is_as_documented"] = _test_of(_id)
        if _id in REFUSE_WHAT_FITS:
            globals()[f"test_{_id}_takes_what_fits"] = _test_of(_id, narrow=True)
