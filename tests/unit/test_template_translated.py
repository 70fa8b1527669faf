"""What SAM makes of the template: the surprises that no linter sees."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from parley_testing.account.template import (
    API,
    RESOURCES,
    ROUTES,
    TEMPLATE,
    definition,
    integrations,
    methods,
    of_type,
    translate,
    translated,
)

GATEWAY_SECONDS = 29
PUBLISHED = ("Sessions", "Messages", "Stream")
OPEN_TO_ALL = {
    ("any", path)
    for path in ("/health", "/openapi.json", "/docs", "/chat", "/console", "/web/{path+}")
}
BY_DEFAULT = translated()


def version_of(template: dict[str, Any], function: str) -> str:
    alias = template["Resources"][f"{function}Aliaslive"]["Properties"]
    name: str = alias["FunctionVersion"]["Fn::GetAtt"][0]
    return name


def changed(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The project's template with one value of it changed."""
    template = copy.deepcopy(TEMPLATE)
    place = template["Resources"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return template


def test_every_path_but_three_asks_the_authorizer() -> None:
    asked = {
        # SAM writes the open ones as guarded by NONE, which is not defined and so guards nothing.
        route: [name for guard in entry["security"] for name in guard]
        for route, entry in methods().items()
        if route[0] != "options"
    }

    guarded = {route for route, guards in asked.items() if guards == ["Token"]}
    assert set(asked) - guarded == OPEN_TO_ALL
    assert all(asked[route] == ["NONE"] for route in OPEN_TO_ALL)
    assert "NONE" not in definition()["components"]["securitySchemes"]
    assert API["Auth"]["DefaultAuthorizer"] in API["Auth"]["Authorizers"]


def test_a_preflight_request_is_answered_by_the_gateway_itself_without_a_token() -> None:
    preflights = [entry for (method, _), entry in methods().items() if method == "options"]

    assert len(preflights) == len(definition()["paths"])
    for entry in preflights:
        assert entry["x-amazon-apigateway-integration"]["type"] == "mock"
        assert not entry.get("security")


def test_a_buffered_route_is_of_the_proxy_kind_within_the_gateways_limit() -> None:
    buffered = [route for route, (function, _) in ROUTES.items() if function != "Stream"]

    for entry in map(integrations().__getitem__, buffered):
        assert entry["type"] == "aws_proxy"
        # A linter takes 60 s here, and API Gateway refuses it.
        assert entry.get("timeoutInMillis", GATEWAY_SECONDS * 1000) <= GATEWAY_SECONDS * 1000
        assert entry.get("responseTransferMode", "BUFFERED") == "BUFFERED"


def test_routes_call_the_published_version() -> None:
    # $LATEST has no snapshot and no canary.
    called = integrations()
    for route, (function, _) in ROUTES.items():
        assert f"${{{function}Aliaslive}}" in called[route]["uri"]["Fn::Sub"]


def test_the_api_is_regional_has_one_stage_and_throttles_it() -> None:
    (api,) = of_type(BY_DEFAULT, "AWS::ApiGateway::RestApi").values()
    (stage,) = of_type(BY_DEFAULT, "AWS::ApiGateway::Stage").values()

    assert api["Properties"]["EndpointConfiguration"]["Types"] == ["REGIONAL"]
    assert stage["Properties"]["StageName"] == {"Ref": "StageName"}
    assert stage["Properties"]["TracingEnabled"] is True
    (setting,) = stage["Properties"]["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert setting["ThrottlingRateLimit"] == {"Ref": "ThrottlingRateLimit"}
    assert setting["ThrottlingBurstLimit"] == {"Ref": "ThrottlingBurstLimit"}


@pytest.mark.parametrize("function", PUBLISHED)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("SharedLayer", "Properties", "ContentUri"), id="a layer"),
        pytest.param(("Messages", "Properties", "CodeUri"), id="the code"),
        pytest.param(("Messages", "Properties", "MemorySize"), id="the configuration"),
    ],
)
def test_a_change_publishes_a_version(function: str, change: tuple[str, ...]) -> None:
    if change[0] not in (function, "SharedLayer"):
        change = (function, *change[1:])
    value: object = 2048 if change[-1] == "MemorySize" else "s3://bucket/another"

    after = translate(changed(change, value))

    assert version_of(after, function) != version_of(BY_DEFAULT, function)


def test_a_parameter_alone_publishes_no_version() -> None:
    # Why `make deploy` puts what was chosen into the packages. If this ever fails, it need not.
    after = translated(OpenAiModel="another")

    assert version_of(after, "Messages") == version_of(BY_DEFAULT, "Messages")


@pytest.mark.parametrize("function", PUBLISHED)
def test_old_versions_are_not_kept(function: str) -> None:
    assert BY_DEFAULT["Resources"][version_of(BY_DEFAULT, function)]["DeletionPolicy"] == "Delete"


def test_by_default_nothing_of_codedeploy_is_made() -> None:
    assert not of_type(BY_DEFAULT, "AWS::CodeDeploy::Application")
    assert all("UpdatePolicy" not in r for r in of_type(BY_DEFAULT, "AWS::Lambda::Alias").values())


@pytest.mark.parametrize("function", PUBLISHED)
def test_a_canary_goes_back_when_its_alarm_is_raised(function: str) -> None:
    gradual = translated(DeploymentType="Canary10Percent5Minutes")

    alias = gradual["Resources"][f"{function}Aliaslive"]
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]
    group = gradual["Resources"][f"{function}DeploymentGroup"]["Properties"]
    assert "CodeDeployDefault.Lambda" in json.dumps(group["DeploymentConfigName"])
    assert group["AlarmConfiguration"]["Enabled"] is True
    named = json.dumps(group["AlarmConfiguration"]["Alarms"])
    assert f'"Ref": "{function}Errors"' in named
    # New code that answers with errors ends no invocation with one.
    assert '"Ref": "ErrorAnswers"' in named
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    alarm = gradual["Resources"][f"{function}Errors"]
    assert alarm["Condition"] == "IsGradual"
    assert {"Name": "Resource", "Value": {"Fn::Sub": f"${{{function}}}:live"}} in alarm[
        "Properties"
    ]["Dimensions"]


def test_answers_of_500_and_above_undo_a_deployment_if_there_are_many() -> None:
    alarm = translated()["Resources"]["ErrorAnswers"]
    metrics = {one["Id"]: one for one in alarm["Properties"]["Metrics"]}

    assert alarm["Condition"] == "IsGradual"
    assert metrics["percent"]["Expression"] == "IF(errors >= 3, 100 * errors / requests, 0)"
    assert alarm["Properties"]["Threshold"] == {"Ref": "DeploymentErrorsPercent"}
    # A tenth of the requests goes to the new code, all of which may fail.
    assert TEMPLATE["Parameters"]["DeploymentErrorsPercent"]["Default"] < 10
    names = {name: metrics[name]["MetricStat"]["Metric"] for name in ("errors", "requests")}
    assert [one["MetricName"] for one in names.values()] == ["5XXError", "Count"]
    assert not any(metrics[name]["ReturnData"] for name in names)


def test_every_way_of_deploying_is_known_to_the_mapping() -> None:
    ways = TEMPLATE["Parameters"]["DeploymentType"]["AllowedValues"]

    for way in ways:
        made = of_type(translated(DeploymentType=way), "AWS::CodeDeploy::Application")
        assert bool(made) == (way != "AllAtOnce")


@pytest.mark.parametrize("layer", ["SharedLayer", "AgentsLayer"])
def test_a_layer_is_of_the_functions_runtime_and_architecture(layer: str) -> None:
    properties = RESOURCES[layer]["Properties"]

    assert properties["PublishLambdaVersion"] is True
    assert properties["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
    assert properties["CompatibleRuntimes"] == [TEMPLATE["Globals"]["Function"]["Runtime"]]


def test_two_stacks_of_an_account_have_layers_of_their_own() -> None:
    layers = of_type(BY_DEFAULT, "AWS::Lambda::LayerVersion").values()
    names = [layer["Properties"]["LayerName"]["Fn::Sub"] for layer in layers]

    assert len(set(names)) == 2
    assert all(name.startswith("${AWS::StackName}-") for name in names)


def test_access_logs_are_there_when_asked_for_and_keep_tokens_and_queries_to_themselves() -> None:
    (stage,) = of_type(BY_DEFAULT, "AWS::ApiGateway::Stage").values()
    condition, setting, otherwise = stage["Properties"]["AccessLogSetting"]["Fn::If"]

    assert (condition, otherwise) == ("KeepsAccessLogs", {"Ref": "AWS::NoValue"})
    assert BY_DEFAULT["Resources"]["ApiLogs"]["Condition"] == "KeepsAccessLogs"
    assert setting["DestinationArn"]["Fn::Sub"].endswith(":log-group:${ApiLogs}")
    line = json.loads(setting["Format"])
    assert {"request_id", "address", "user_id", "route", "status"} <= line.keys()
    assert not re.search(r"querystring|header|\$context\.path|authorization", setting["Format"])


def test_a_firewall_stands_in_front_of_the_stage_when_one_is_named() -> None:
    firewall = BY_DEFAULT["Resources"]["Firewall"]

    assert firewall["Condition"] == "HasFirewall"
    assert firewall["Properties"]["WebACLArn"] == {"Ref": "WebAclArn"}
    # By the stage's own name, so that it is made first.
    (stage,) = of_type(BY_DEFAULT, "AWS::ApiGateway::Stage")
    assert firewall["Properties"]["ResourceArn"]["Fn::Sub"].endswith(
        f"::/restapis/${{Api}}/stages/${{{stage}}}"
    )


def test_every_name_that_is_referred_to_is_there() -> None:
    # The linters overlook a reference that leads nowhere, and CloudFormation refuses the template.
    known = set(BY_DEFAULT["Resources"]) | set(BY_DEFAULT["Parameters"])

    assert set(_referred_to(BY_DEFAULT["Resources"])) - known == set()
    assert set(_referred_to(BY_DEFAULT["Outputs"])) - known == set()


def _referred_to(part: Any) -> Iterator[str]:
    """The names of resources and parameters in a part of a template."""
    match part:
        case {"Ref": str(name)} if not name.startswith("AWS::"):
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            names = re.findall(r"\$\{(\w+)(?:\.\w+)?\}", text)
            yield from names
        case dict():
            for value in part.values():
                yield from _referred_to(value)
        case list():
            for value in part:
                yield from _referred_to(value)
