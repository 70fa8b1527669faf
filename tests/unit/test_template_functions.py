"""The functions of template.yaml: what they are given, how much, and for how long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from parley.config import Need, Settings, load_settings
from parley.http.streaming import METHODS
from parley_local.cloudformation import Resolver
from parley_local.own_template import SERVES_ROUTES
from parley_local.routing import Router
from parley_local.template_file import read_template
from parley_testing.account.template import (
    FUNCTIONS,
    PARAMETERS,
    RESOURCES,
    ROOT,
    SECRETS,
    TEMPLATE,
    properties_of,
)
from parley_testing.api.handlers import load_function
from parley_testing.api.served import own_document, served_document

# Given on laptops only, each instead of something that the template gives.
OF_LAPTOPS = {
    *("DATABASE_URL", "DATABASE_RUNTIME_URL", "AGENT_SESSION_DB_PATH", "OPENAI_API_KEY"),
    *("OFFLINE_MODEL", "OFFLINE_MODEL_WORDS_PER_SECOND"),
}
OF_LIBRARIES = ("POWERTOOLS_", "OPENAI_AGENTS_", "AWS_LAMBDA_", "AWS_LWA_")
PARLEYS = own_document()["paths"]
PATHS = served_document()["paths"]
OWN_PATHS = [path for path in PATHS if path not in PARLEYS]  # of the project's routes
ROUTER = Router(read_template(ROOT / "template.yaml").with_paths(SERVES_ROUTES, OWN_PATHS).routes)
RUNS_AGENTS = ("Messages", "Stream", "Worker")


def variables(function: str) -> dict[str, str]:
    """A function's environment as a stack without any optional parameter has it."""
    found = FUNCTIONS[function]["Environment"]["Variables"]
    resolver = Resolver(TEMPLATE, SECRETS)
    return {name: str(resolver.get(value, "of the stack")) for name, value in found.items()}


def needs(function: str) -> tuple[Need, ...]:
    """What the function's code says that it cannot do without."""
    tree = ast.parse((ROOT / "functions" / function.lower() / "app.py").read_text())
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "load_settings"
    )
    return cast("tuple[Need, ...]", tuple(ast.literal_eval(argument) for argument in call.args))


@pytest.fixture
def settings_read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the settings that are read while the test runs."""
    names: set[str] = set()
    original = Settings.__getattribute__

    def noted(self: Settings, name: str) -> Any:
        if name in Settings.model_fields:
            names.add(name.upper())
        return original(self, name)

    monkeypatch.setattr(Settings, "__getattribute__", noted)
    return names


@contextmanager
def environment(function: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (field.upper() for field in Settings.model_fields):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables(function).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # A client looks for credentials when it is made.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_what_it_cannot_start_without(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with environment(function, monkeypatch):
        assert load_settings(*needs(function))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_the_settings_that_it_reads_and_no_others(
    function: str, monkeypatch: pytest.MonkeyPatch, settings_read: set[str]
) -> None:
    with environment(function, monkeypatch):
        module = load_function(function.lower())
        if function == "Migrate":  # builds nothing before it is called
            from parley.composition import Composition

            assert Composition(load_settings(*needs(function))).database
        if function == "Sessions":  # where the request that comes to them makes the rest
            for part in (
                "store",
                "forgetter",
                "cleaner",
                "eraser",
                "exporter",
                "renamer",
                "user_budgets",
            ):
                assert getattr(module.parts, part)

    given = {name for name in variables(function) if not name.startswith(OF_LIBRARIES)}
    assert given == settings_read - OF_LAPTOPS
    # Stream is an application behind the adapter.
    assert callable(module.app if function == "Stream" else module.handler)


@pytest.mark.parametrize("function", ["Sessions", "Messages", "Stream"])
def test_a_function_is_asked_for_what_its_code_serves(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with environment(function, monkeypatch):
        module = load_function(function.lower())
        if function == "Sessions":
            for prefix in ("/admin/", "/approvals", "/usage"):
                module.handler.serve_late(prefix)
    if function == "Stream":
        served = set(METHODS.items())
    else:
        paths = module.handler.resolver.get_openapi_schema().paths or {}
        served = {
            (path, method.upper())
            for path, entry in paths.items()
            for method in entry.model_dump(exclude_none=True)
        }

    asked = {
        (path, method)
        for path, entries in PATHS.items()
        for method in map(str.upper, entries)
        if (match := ROUTER.match(path))
        and (route := match.route(method))
        and route.function == function
    }
    assert asked == served


def test_defaults_of_parameters_are_those_of_the_settings() -> None:
    for properties in FUNCTIONS.values():
        for variable, value in properties["Environment"]["Variables"].items():
            field = Settings.model_fields.get(variable.lower())
            if field is None or not isinstance(value, dict) or "Ref" not in value:
                continue
            parameter = PARAMETERS.get(value["Ref"], {})
            if parameter.get("Default", "") != "":
                assert parameter["Default"] == field.default, variable


def test_a_function_that_answers_the_gateway_ends_with_it() -> None:
    for function in ("Sessions", "Authorizer"):
        assert properties_of(function)["Timeout"] <= 29


@pytest.mark.parametrize("function", RUNS_AGENTS)
def test_a_turn_may_take_its_whole_time_in_one_invocation(function: str) -> None:
    # And time is left to write down that it took too long.
    assert FUNCTIONS[function]["Timeout"] >= PARAMETERS["TurnTimeoutSeconds"]["Default"] + 15
    # A deleted session's memory is removed again after the longest invocation that AWS allows.
    assert FUNCTIONS[function]["Timeout"] <= 900


NO_VALUE = {"Ref": "AWS::NoValue"}
SNAPSHOTS = {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}
ROWS: dict[str, tuple[int, bool, bool, bool, bool]] = {
    # megabytes, the agents' layer, in a VPC if there is one, concurrency limited, snapshots
    "Authorizer": (512, False, False, True, False),
    "Sessions": (512, False, True, True, True),
    # Waiting for a model is paid by the half gigabyte; tests/e2e/test_memory_size.py measures that
    # it is enough.
    "Messages": (512, True, True, True, True),
    "Stream": (512, True, True, True, True),
    "Worker": (512, True, True, False, False),
    "Cleanup": (512, False, True, True, False),
    "Migrate": (512, False, True, False, False),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_what_its_work_needs_and_nothing_else(function: str) -> None:
    properties = properties_of(function)
    limit = [f"Limits{function}", {"Ref": f"{function}Concurrency"}, NO_VALUE]
    network = properties.get("VpcConfig", {}).get("Fn::If", [None, None, None])

    assert (
        properties["MemorySize"],
        {"Ref": "AgentsLayer"} in FUNCTIONS[function].get("Layers", []),
        [network[0], network[2]] == ["IsInVpc", NO_VALUE],
        properties.get("ReservedConcurrentExecutions") == {"Fn::If": limit},
        properties.get("SnapStart") == {"ApplyOn": SNAPSHOTS},
    ) == ROWS[function]
    # And what it has not, it has in no other form.
    optional = ("VpcConfig", "ReservedConcurrentExecutions", "SnapStart")
    assert [name in properties for name in optional] == [*ROWS[function][2:]]


def test_limits_of_concurrency_are_none_by_default() -> None:
    limited = [f"{function}Concurrency" for function, row in ROWS.items() if row[3]]

    assert {PARAMETERS[name]["Default"] for name in limited} == {""}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_and_traces_of_a_function_have_its_name_and_end_some_day(function: str) -> None:
    logs = RESOURCES[FUNCTIONS[function]["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    name = {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}/{function.lower()}"}

    assert variables(function)["POWERTOOLS_SERVICE_NAME"] == function.lower()
    assert properties_of(function)["TracingConfig"] == {"Mode": "Active"}
    assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    # A log group of the same name would be in the way of the stack after one that failed.
    assert logs.get("LogGroupName") == (None if function == "Migrate" else name)


def test_the_log_that_says_why_a_first_deployment_failed_outlives_it() -> None:
    logs = RESOURCES["MigrateLogs"]

    assert (logs["DeletionPolicy"], logs["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_folder_is_built_by_its_makefile(function: str) -> None:
    # A requirements.txt would make `sam build` look for the functions' Python on this machine.
    folder = ROOT / FUNCTIONS[function]["CodeUri"]

    assert RESOURCES[function]["Metadata"]["BuildMethod"] == "makefile"
    assert f"build-{function}:" in (folder / "Makefile").read_text()
    assert not Path(folder / "requirements.txt").exists()
