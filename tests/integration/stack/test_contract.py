"""Every answer that the gateway gives to any request is one that the OpenAPI document tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from parley_local.stack import LocalStack
from parley_testing.api.served import served_document
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import BaseSchema

# Schemathesis is imported, and makes its requests, where a test is run: each worker collects all
# tests, and one runs these.


@pytest.fixture(scope="module")
def documented() -> BaseSchema:
    """What may be asked, and what may be answered."""
    import schemathesis

    # Unknown query parameters are passed over, as everywhere on the web.
    config = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
    return schemathesis.openapi.from_dict(served_document(), config=config)


@pytest.fixture(scope="module")
def narrowed() -> BaseSchema:
    """Only what fits: whether what does not is refused is looked at with the whole document."""
    import schemathesis

    fitting = schemathesis.Config.from_dict(
        {"generation": {"allow-extra-parameters": False, "mode": "positive"}}
    )
    return schemathesis.openapi.from_dict(without_what_no_schema_can_tell(), config=fitting)


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


def _is_like_others(case: Case[Any], seen: Counter[tuple[object, object]]) -> bool:
    """Return whether a request tries another value of a kind of which some were tried.

    Of the thousands of boundary values those of each kind, such as a text that is too long in a
    query, all are sent at length, and else the first and every twelfth after it.
    """
    from schemathesis.generation.meta import CoveragePhaseData

    data = None if case.meta is None else case.meta.phase.data
    if not isinstance(data, CoveragePhaseData):
        return False
    kind = (data.scenario, data.parameter_location)
    seen[kind] += 1
    return (seen[kind] - 1) % times(enough=12, full=1) != 0


def _checks(operation_id: str, *, narrow: bool) -> list[Callable[..., Any]]:
    """Return what is looked at in each answer of an operation."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    if narrow:
        return [checks.positive_data_acceptance, not_a_server_error]
    fits = [] if operation_id in REFUSE_WHAT_FITS else [checks.positive_data_acceptance]
    return [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
        checks.missing_required_header,
        checks.unsupported_method,
        checks.use_after_free,
        checks.ignored_auth,
        *fits,
    ]


def _test_of(operation_id: str, *, narrow: bool = False) -> Callable[..., None]:
    """Make the test of one operation."""

    @pytest.mark.timeout(3000)
    def every_answer_is_as_documented(request: pytest.FixtureRequest, stack: LocalStack) -> None:
        import hypothesis
        from schemathesis.core.result import Ok
        from schemathesis.pytest.lazy import get_all_tests

        schema: BaseSchema = request.getfixturevalue("narrowed" if narrow else "documented")
        seen: Counter[tuple[object, object]] = Counter()
        checks = _checks(operation_id, narrow=narrow)

        def answered(case: Case[Any]) -> None:
            if _is_like_others(case, seen):
                return
            case.call_and_validate(
                base_url=stack.url,
                headers=stack.headers("schemathesis"),
                checks=checks,
                timeout=HANG_SECONDS,
            )

        settings = hypothesis.settings(
            max_examples=times(enough=3, full=25),
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        # As schemathesis's own decorator does, though that while tests are collected.
        (made,) = get_all_tests(
            schema=schema.include(operation_id=operation_id),
            test_func=answered,
            settings=settings,
            given_kwargs=None,
        )
        assert isinstance(made, Ok)
        _, test = made.ok()
        test()

    return every_answer_is_as_documented


for _path in served_document()["paths"].values():
    for _operation in _path.values():
        _id = _operation["operationId"]
        globals()[f"test_every_answer_of_{_id}_is_as_documented"] = _test_of(_id)
        if _id in REFUSE_WHAT_FITS:
            globals()[f"test_{_id}_takes_what_fits"] = _test_of(_id, narrow=True)
