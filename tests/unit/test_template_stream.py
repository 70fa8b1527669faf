"""The stream function of template.yaml: the adapter in front of it, and routes that stream."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from parley.http.streaming import METHODS
from parley_testing.account.template import FUNCTIONS, PARAMETERS, ROOT, ROUTES, integrations

STREAM: dict[str, Any] = FUNCTIONS["Stream"]
VARIABLES: dict[str, Any] = STREAM["Environment"]["Variables"]
FOLDER = ROOT / STREAM["CodeUri"]
LONGEST = 900_000
"""Milliseconds that API Gateway streams at most."""


def test_what_streams_are_the_function_s_routes_and_nothing_else() -> None:
    streaming = {
        route for route, found in integrations().items() if found.get("responseTransferMode")
    }

    assert streaming == {route for route, (function, _) in ROUTES.items() if function == "Stream"}
    assert streaming == {
        ("post", "/messages/stream"),
        ("post", "/sessions/{session_id}/messages/stream"),
        ("get", "/sessions/{session_id}/turns/{turn_id}/events"),
        ("post", "/ag-ui/{agent}"),
        ("post", "/ai-sdk/chat"),
        ("get", "/ai-sdk/chat/{chat_id}/stream"),
    }


def test_a_route_really_streams_and_for_as_long_as_there_is() -> None:
    streaming = [route for route, (function, _) in ROUTES.items() if function == "Stream"]

    for found in map(integrations().__getitem__, streaming):
        assert found["type"] == "aws_proxy"
        # Other values validate as well, and give an integration that waits for the end.
        assert found["responseTransferMode"] == "STREAM"
        uri = found["uri"]["Fn::Sub"]
        assert uri.endswith("/response-streaming-invocations")
        assert "/2021-11-15/functions/${StreamAliaslive}/" in uri
        assert found["timeoutInMillis"] == LONGEST


def test_the_function_runs_for_as_long_as_the_gateway_streams() -> None:
    assert STREAM["Timeout"] * 1000 == LONGEST
    assert STREAM["Timeout"] >= PARAMETERS["TurnTimeoutSeconds"]["MaxValue"] + 15


def test_the_adapters_layer_is_a_literal_for_each_architecture() -> None:
    # A parameter would keep its old value when the stack is updated.
    condition, arm, x86 = STREAM["Layers"][-1]["Fn::If"]

    layer = r"arn:aws:lambda:\$\{AWS::Region\}:753240598075:layer:LambdaAdapterLayer(\w+):([0-9]+)"
    found = [re.fullmatch(layer, one["Fn::Sub"]) for one in (arm, x86)]
    assert condition == "IsArm"
    assert [one and one[1] for one in found] == ["Arm64", "X86"]
    assert len({one and one[2] for one in found}) == 1


def test_the_adapter_is_told_to_stream_and_where_the_server_is() -> None:
    assert VARIABLES["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert VARIABLES["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert VARIABLES["AWS_LWA_READINESS_CHECK_PATH"] == "/ready"
    assert int(VARIABLES["AWS_LWA_PORT"]) > 1024
    assert all(isinstance(value, str) for name, value in VARIABLES.items() if "_LWA_" in name)


def test_an_answer_of_500_is_a_failed_invocation_which_undoes_a_deployment() -> None:
    # 503 and its like stay answers: they say more than API Gateway would in their place.
    assert VARIABLES["AWS_LWA_ERROR_STATUS_CODES"] == "500"


def test_the_handler_is_a_script_that_the_adapter_can_start() -> None:
    script = FOLDER / STREAM["Handler"]

    assert os.access(script, os.X_OK)
    # Zips keep this much of it.
    assert script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().startswith("#!/bin/")
    assert "AWS_LWA_PORT" in script.read_text()


def test_a_snapshot_is_taken_of_a_server_that_is_ready_and_has_answered_nothing() -> None:
    # The adapter looks at this first; it is no route, at whose first request a copy reseeds.
    ready = VARIABLES["AWS_LWA_READINESS_CHECK_PATH"]

    assert ready == "/ready"
    assert ready not in METHODS
    assert "AWS_LWA_ASYNC_INIT" not in VARIABLES
