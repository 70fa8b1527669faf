"""Alarms, dashboard, metrics and runbook are in step."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.main import get_command

from parley import observability
from parley.cleanup import gauges
from parley.cleanup.report import Counted
from parley.errors import StoreUnavailable
from parley.memory.store import StoreSize
from parley.metrics import METRICS
from parley.repository.statistics import Standing
from parley.repository.turns import Usage
from parley.turns.wakeup import Waker
from parley.usage.spent import Spent
from parley_cli.main import app
from parley_testing.account.template import (
    FUNCTIONS,
    MONITORING,
    PARAMETERS,
    RESOURCES,
    ROOT,
    TEMPLATE,
    monitoring,
    of_type,
    translated,
)
from parley_testing.metrics import metrics_in, values_of

TRANSLATED = translated()
WATCHING = monitoring()
ALARMS: dict[str, dict[str, Any]] = {
    name: alarm["Properties"]
    for template in (TRANSLATED, {"Resources": WATCHING})
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
}
THRESHOLDS: dict[str, dict[str, int]] = MONITORING["Mappings"]["Thresholds"]
# They undo a deployment and are there with a gradual one only.
OF_DEPLOYMENTS = {"SessionsErrors", "MessagesErrors", "StreamErrors", "ErrorAnswers"}
BODY: str = WATCHING["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
OURS = {"Fn::Sub": "Parley/${AWS::StackName}"}
OUTCOMES = ("completed", "failed", "cancelled", "waiting", "released", "replaced", "unavailable")


def alarms_of(preset: str) -> set[str]:
    """The alarms that are there with a value of `AlarmThresholds`."""
    each, together = (
        MONITORING["Conditions"][name]["Fn::Equals"]
        for name in ("WatchesEachFunction", "WatchesAllTogether")
    )
    assert (each, together) == (
        [{"Ref": "AlarmThresholds"}, "large"],
        [{"Ref": "AlarmThresholds"}, "small"],
    )
    without = {"small": "WatchesEachFunction", "large": "WatchesAllTogether"}[preset]
    return {
        name
        for name, alarm in of_type({"Resources": WATCHING}, "AWS::CloudWatch::Alarm").items()
        if alarm.get("Condition") != without
    }


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that an alarm looks at, with their dimensions."""
    if "Metrics" not in alarm:
        return [alarm]
    return [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]


def sections() -> dict[str, set[str]]:
    """The alarms of each section of the runbook that has some."""
    parts = re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:]
    named = {
        part.partition("\n")[0]: re.search(r"^Alarms: (.+?)\n\n", part, re.MULTILINE | re.DOTALL)
        for part in parts
    }
    return {title: set(re.findall(r"`(\w+)`", said[1])) for title, said in named.items() if said}


def emitted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """All that the code measures."""
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)
    standing = Standing(1, 1, 1, 1, 1, 1.0, 1.0, 1, 1, 1.0, 1.0, 1, 1, 1)
    monkeypatch.setattr(gauges, "read_standing", lambda _: standing)
    for outcome in OUTCOMES:
        observability.turn_ended(outcome=outcome, agent="todo", seconds=1, usage=Usage())
    observability.paid(agent="todo", spent=Spent(calls=1, cost=2_500_000))
    observability.summary_ended(outcome="made", agent="todo", seconds=1, usage=Usage())
    observability.memory_read(0.1)
    observability.limit_reached("user_max_sessions")
    observability.budgets_near({"user_tokens_per_day": 1})
    observability.cleanup_ended(done=True, seconds=1, kinds={"memory": Counted()})

    class Store:
        def size(self) -> StoreSize:
            return StoreSize(1, 1)

    gauges.publish_gauges(None, Store())  # type: ignore[arg-type]
    asyncio.run(Waker(_Dumb()).wake(uuid4(), user_id="alice"))
    return metrics_in(capfd.readouterr().out)


class _Dumb:
    """A queue that takes nothing."""

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        raise StoreUnavailable("queue", "away")


def test_the_code_measures_what_the_table_names_and_nothing_else(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {name for document in emitted(capfd, monkeypatch) for name in values_of(document)}

    assert names == set(METRICS)


def test_all_metrics_are_added_up_under_the_dimension_that_alarms_look_at(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for document in emitted(capfd, monkeypatch):
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert ["service"] in directive["Dimensions"]
        assert document["service"] == "parley"


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_what_is_there(name: str) -> None:
    for metric in metrics_of(ALARMS[name]):
        dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
        match metric["Namespace"]:
            case "AWS/Lambda":
                assert metric["MetricName"] in ("Errors", "Throttles", "Duration")
                if name != "AccountThrottlesAlarm":
                    assert dimensions["FunctionName"]["Ref"] in FUNCTIONS
            case "AWS/ApiGateway":
                (api,) = of_type(TRANSLATED, "AWS::ApiGateway::RestApi").values()
                (stage,) = of_type(TRANSLATED, "AWS::ApiGateway::Stage").values()
                assert metric["MetricName"] in ("5XXError", "Count")
                assert dimensions["ApiName"] == api["Properties"]["Body"]["info"]["title"]
                assert dimensions["Stage"] == stage["Properties"]["StageName"]
            case "AWS/SQS":
                assert metric["MetricName"] in (
                    "ApproximateAgeOfOldestMessage",
                    "ApproximateNumberOfMessagesVisible",
                )
                (queue, attribute) = dimensions["QueueName"]["Fn::GetAtt"]
                assert (RESOURCES[queue]["Type"], attribute) == ("AWS::SQS::Queue", "QueueName")
            case namespace:
                assert namespace == OURS
                assert metric["MetricName"] in METRICS
                assert dimensions == {"service": "parley"}


@pytest.mark.parametrize("function", ["Sessions", "Messages", "Stream", "Worker", "Cleanup"])
def test_what_measures_does_so_in_the_namespace_that_alarms_look_in(function: str) -> None:
    variables = TRANSLATED["Resources"][function]["Properties"]["Environment"]["Variables"]

    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == OURS


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_on_the_dashboard_or_in_an_alarm(metric: str) -> None:
    alarmed = {one["MetricName"] for alarm in ALARMS.values() for one in metrics_of(alarm)}

    assert re.search(rf'"{metric}\\?"', BODY) or metric in alarmed


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("metric", ["Errors", "Throttles", "Duration"])
def test_every_function_is_watched_where_thousands_come(function: str, metric: str) -> None:
    alarm = ALARMS[f"{function}{metric}Alarm"]

    assert f"{function}{metric}Alarm" in alarms_of("large")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]


def test_a_small_deployment_is_watched_by_what_its_users_notice_and_what_is_given_up() -> None:
    small = alarms_of("small")

    # What a caller waits for ends in an answer; what nobody waits for has alarms of its own.
    assert small >= {"ApiErrorsAlarm", "TurnFailuresAlarm", "OverdueTurnsAlarm"}
    assert small >= {f"{each}ErrorsAlarm" for each in ("Stream", "Worker", "Cleanup", "Migrate")}
    assert {name for name in small if "Throttles" in name} == {"AccountThrottlesAlarm"}
    # Whoever was told of three failed invocations of a function is told of as many answers.
    assert THRESHOLDS["ApiErrors"]["small"] <= THRESHOLDS["RequestErrors"]["small"]


def test_no_alarm_is_in_neither_preset() -> None:
    assert alarms_of("small") | alarms_of("large") == set(ALARMS) - OF_DEPLOYMENTS
    assert alarms_of("small") - alarms_of("large") == {"AccountThrottlesAlarm"}


def test_an_idle_month_costs_less_than_three_dollars_beyond_what_is_free() -> None:
    said = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")

    assert f"| alarms, which look at {len(alarms_of('small'))} metrics |" in said
    assert "The goal of $3 a month is met as it is deployed" in said


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_dashboard_shows_every_functions_errors(function: str) -> None:
    assert f'"AWS/Lambda", "Errors", "FunctionName", "${{{function}}}"' in BODY


def test_the_dashboard_has_no_more_metrics_than_cloudwatch_shows_for_nothing() -> None:
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", BODY))["widgets"]
    shown = [one for widget in widgets for one in widget["properties"].get("metrics", ())]
    searches = [one for one in shown if isinstance(one[0], dict)]

    # The one search finds a metric for each agent, and a deployment has some.
    assert len(searches) == 1
    assert len(shown) - len(searches) + 3 <= 50


def test_the_docs_tell_what_alarms_cost() -> None:
    # An alarm is paid by the metrics that it looks at: those that are always there, once.
    assert all(len(metrics_of(ALARMS[name])) == 1 for name in set(ALARMS) - OF_DEPLOYMENTS)
    paid, larger = len(alarms_of("small")), len(alarms_of("large"))
    gradual = sum(len(metrics_of(ALARMS[name])) for name in OF_DEPLOYMENTS)
    deploying = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert f"{paid} metrics that alarms look at, $0.10 a month each" in deploying
    assert f"({larger - paid} more with `AlarmThresholds=large`" in deploying
    assert f"With a gradual `DeploymentType`, {gradual} more" in " ".join(deploying.split())


@pytest.mark.parametrize("name", sorted(set(ALARMS) - OF_DEPLOYMENTS))
def test_an_alarm_can_be_tuned_switched_off_and_heard(name: str) -> None:
    alarm = ALARMS[name]
    told = [{"Fn::If": ["TellsOfAlarms", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}]

    assert threshold_of(alarm) in THRESHOLDS
    assert RESOURCES["Monitor"]["Condition"] == "IsMonitored"
    assert alarm["AlarmActions"] == alarm["OKActions"] == told


def threshold_of(alarm: dict[str, Any]) -> str:
    """The row of the table that decides when an alarm is raised."""
    (limit,) = (
        limit["Fn::FindInMap"]
        for limit in (alarm["Threshold"], alarm["EvaluationPeriods"])
        if isinstance(limit, dict)
    )
    table, row, column = limit
    assert (table, column) == ("Thresholds", {"Ref": "AlarmThresholds"})
    return str(row)


def test_the_table_has_a_column_for_each_preset_and_no_row_that_nothing_uses() -> None:
    presets = PARAMETERS["AlarmThresholds"]["AllowedValues"]

    assert MONITORING["Parameters"]["AlarmThresholds"]["AllowedValues"] == presets
    assert all(list(row) == presets for row in THRESHOLDS.values())
    # In a large deployment what is normal is more, never less.
    assert all(row["small"] <= row["large"] for row in THRESHOLDS.values())
    used = {threshold_of(ALARMS[name]) for name in set(ALARMS) - OF_DEPLOYMENTS}
    assert used == THRESHOLDS.keys()


def test_the_nested_stack_is_given_what_it_asks_for_under_the_same_names() -> None:
    nested = RESOURCES["Monitor"]["Properties"]

    assert (ROOT / nested["TemplateURL"]).samefile(ROOT / "monitoring.yaml")
    # That each is given, and nothing else, is what cfn-lint looks at.
    for name, given in nested["Parameters"].items():
        ((_, source),) = given.items()
        resource = source if isinstance(source, str) else source[0]
        assert name == {"AWS::StackName": "Stack"}.get(resource, resource)
    ((_, path),) = TEMPLATE["Outputs"]["DashboardName"]["Value"].items()
    assert path == ["Monitor", "Outputs.DashboardName"]
    assert MONITORING["Outputs"]["DashboardName"]["Value"] == {"Ref": "Dashboard"}


def test_the_dashboard_reads_the_log_groups_that_there_are() -> None:
    groups = {
        RESOURCES[f"{function}Logs"]["Properties"]["LogGroupName"]["Fn::Sub"]
        for function in ("Sessions", "Messages", "Stream")
    }

    assert set(re.findall(r"SOURCE '(.+?)'", BODY)) == groups


def test_a_cleanup_that_does_not_run_is_noticed() -> None:
    alarm = ALARMS["CleanupOverdueAlarm"]

    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("CleanupFinished", "breaching")
    assert alarm["Period"] == 3600
    for hours in THRESHOLDS[threshold_of(alarm)].values():
        assert hours > 24  # it runs once a day, and takes a while
        assert hours <= 7 * 24  # as far back as CloudWatch looks


@pytest.mark.parametrize(
    "name",
    [
        "OverdueTurnsAlarm",
        "OldApprovalsAlarm",
        "ActiveSessionsAlarm",
        "OutboxAgeAlarm",
        "MemorySizeAlarm",
    ],
)
def test_an_alarm_on_a_gauge_stays_as_it_is_between_two_recoveries(name: str) -> None:
    assert ALARMS[name]["TreatMissingData"] == "ignore"


def test_the_dashboard_is_made_of_widgets_that_do_not_cover_each_other() -> None:
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", BODY))["widgets"]
    places = [(widget["x"], widget["y"]) for widget in widgets]

    assert len(set(places)) == len(places)
    assert all(widget["properties"]["title"] for widget in widgets)
    assert all(x + widget["width"] <= 24 for (x, _), widget in zip(places, widgets, strict=True))


def test_every_alarm_has_its_section_in_the_runbook_and_every_section_its_alarm() -> None:
    named = [alarm for alarms in sections().values() for alarm in alarms]

    assert sorted(named) == sorted(ALARMS)


@pytest.mark.parametrize("title", sections())
def test_a_section_says_what_it_means_how_to_look_and_what_to_do(title: str) -> None:
    section = RUNBOOK.split(f"## {title}\n")[1].split("\n## ")[0]

    assert [word for word in ("Means.", "Look.", "Do.") if f"**{word}**" in section] == [
        "Means.",
        "Look.",
        "Do.",
    ]


def test_the_runbook_looks_for_lines_that_the_code_logs() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("layers/shared/python/parley", "functions")
        for file in (ROOT / folder).rglob("*.py")
    )
    asked = re.findall(r"message (?:=|in) (\[.+?\]|\".+?\")", RUNBOOK)
    lines = {line for found in asked for line in re.findall(r'"(.+?)"', found)}

    assert "turn failed" in lines
    assert {line for line in lines if f'"{line}"' not in code} == set()


def test_the_runbook_gives_commands_that_there_are() -> None:
    commands = set(re.findall(r"(?:^|`)parley ([a-z]+)", RUNBOOK, re.MULTILINE))

    assert "stats" in commands
    assert commands <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_runbook_names_parameters_that_there_are() -> None:
    named = set(re.findall(r"`(\w+(?:Threshold|Concurrency|Days|Hours|Rate|Arn|Limit))`", RUNBOOK))

    assert named
    assert named <= set(PARAMETERS)
