"""What a project adds to the template: variables, rights for secrets, and its migrations."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parley.manifest import Manifest, Offer, Variable
from parley_backend import backend
from parley_deploy.__main__ import without_value
from parley_local.cloudformation import load
from parley_packages.project_layer import RUN_ITS_CODE
from parley_packages.project_template import project_template
from parley_project.faults import ProjectFaults
from parley_project.project import Project, read_project
from parley_testing.account.template import translate

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:bistro-AbCdEf"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("migrations/one.py", "bistro/tables.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("# as it was\n")
    variables = (
        Variable("BISTRO_KEY", secret=True),
        Variable("MAIL_KEY", secret=True, required=False),
        Variable("BISTRO_MODE", required=False, default="usual"),
        Variable("BISTRO_CITY"),
    )
    (tmp_path / "pyproject.toml").write_text("[tool.parley]\n")
    manifest = Manifest(
        {"host": Offer("x", "bistro:a")}, "host",
        user_data="bistro.tables:T", migrations="migrations", environment=variables,
    )  # fmt: skip
    return Project(tmp_path / "pyproject.toml", manifest, tmp_path, (tmp_path / "bistro",))


def made(project: Project) -> dict[str, Any]:
    return load(project_template(project, backend("template.yaml"), project.root / "built"))


def test_parley_s_own_project_has_no_layer_of_its_own(tmp_path: Path) -> None:
    parley, plain = read_project(backend("pyproject.toml")), load(backend("template.yaml"))

    document = load(project_template(parley, backend("template.yaml"), tmp_path))

    assert document["Resources"]["Migration"]["Properties"].pop("Project")
    assert document.keys() == plain.keys()
    for name, entry in plain["Resources"].items():
        made = document["Resources"].pop(name)
        assert made["Properties"].get("Layers") == entry["Properties"].get("Layers"), name
    assert document["Resources"] == {}


@pytest.mark.parametrize(
    ("dependencies", "needing"),
    [("parley-serverless[dev]>=0.1", set()), ("shop-prices", {"Sessions", "Migrate"})],
)
def test_its_code_is_a_layer_of_its_own_for_the_functions_that_run_it(
    project: Project, dependencies: str, needing: set[str]
) -> None:
    project.file.write_text(f'[project]\ndependencies = ["{dependencies}"]\n')
    plain = load(backend("template.yaml"))

    document = made(project)

    layer, shared = document["Resources"]["ProjectLayer"], document["Resources"]["SharedLayer"]
    assert layer["Properties"].pop("LayerName") == {"Fn::Sub": "${AWS::StackName}-project"}
    assert layer["Properties"].pop("ContentUri") == str(backend("layers", "project"))
    assert layer["Properties"].pop("Description") != shared["Properties"]["Description"]
    assert layer["Metadata"] == shared["Metadata"]
    assert layer["Properties"].items() < shared["Properties"].items()
    for name, entry in plain["Resources"].items():
        if entry["Type"] == "AWS::Serverless::Function":
            added = [{"Ref": "AgentsLayer"}] if name in needing else []
            added += [{"Ref": "ProjectLayer"}] if name in RUN_ITS_CODE else []
            carried = document["Resources"][name]["Properties"].get("Layers", [])
            assert carried == [*entry["Properties"].get("Layers", []), *added], name


def test_its_dependencies_are_where_no_agent_runs_only_if_code_of_its_own_does(
    project: Project,
) -> None:
    project.file.write_text('[project]\ndependencies = ["shop-prices"]\n')
    agents = replace(project, manifest=Manifest({"host": Offer("x", "bistro:a")}, "host"))

    resources = made(agents)["Resources"]

    for name in ("Sessions", "Migrate"):
        assert resources[name]["Properties"]["Layers"] == [{"Ref": "ProjectLayer"}]


def test_other_code_publishes_the_functions_that_run_it_and_replaces_no_other_layer(
    project: Project,
) -> None:
    given = {"ProjectBistroCity": "Oslo", "ProjectBistroKeySecretArn": ARN}
    document = made(project)
    before = translate(document, **given)
    document["Resources"]["ProjectLayer"]["Properties"]["ContentUri"] = "s3://bucket/another"

    after = translate(document, **given)

    assert _names(before, "ProjectLayer") != _names(after, "ProjectLayer")
    for layer in ("SharedLayer", "AgentsLayer"):
        assert _names(before, layer) == _names(after, layer)
    for function in ("Sessions", "Messages", "Stream"):
        versions = f"{function}Version"
        assert _names(before, versions).isdisjoint(_names(after, versions))


def _names(template: dict[str, Any], beginning: str) -> set[str]:
    return {name for name in template["Resources"] if name.startswith(beginning)} - {beginning}


@pytest.mark.parametrize(
    ("resources", "fault"),
    [
        ("{}", "Resources.SharedLayer is missing, which Parley's template has"),
        (
            "{SharedLayer: {Properties: {}}, Sessions: {Properties: {Layers: !Ref One}}}",
            "Resources.Sessions.Properties.Layers must be a list",
        ),
    ],
)
def test_an_own_template_into_which_the_code_cannot_go_is_named(
    project: Project, resources: str, fault: str
) -> None:
    file = project.root / "template.yaml"
    file.write_text(f"Resources: {resources}\n")

    with pytest.raises(ProjectFaults) as raised:
        project_template(replace(project, template=file), file, project.root / "built")

    assert raised.value.sentences == (f"{file}: {fault}",)


def test_each_variable_is_a_parameter_and_secrets_are_named_by_arn(project: Project) -> None:
    parameters = made(project)["Parameters"]

    assert parameters["ProjectBistroMode"]["Default"] == "usual"
    assert "Default" not in parameters["ProjectBistroCity"]
    assert "Default" not in parameters["ProjectBistroKeySecretArn"]
    assert parameters["ProjectMailKeySecretArn"]["Default"] == ""
    for name, empty in (("BistroKey", False), ("MailKey", True)):
        pattern = parameters[f"Project{name}SecretArn"]["AllowedPattern"]
        assert re.fullmatch(pattern, ARN)
        assert not re.fullmatch(pattern, "sk-abc")
        assert bool(re.fullmatch(pattern, "")) == empty


def test_the_functions_that_run_its_code_have_them_and_no_others(project: Project) -> None:
    before, after = load(backend("template.yaml"))["Resources"], made(project)["Resources"]
    added = {
        "BISTRO_KEY_SECRET_ARN": {"Ref": "ProjectBistroKeySecretArn"},
        "MAIL_KEY_SECRET_ARN": {"Ref": "ProjectMailKeySecretArn"},
        "BISTRO_MODE": {"Ref": "ProjectBistroMode"},
        "BISTRO_CITY": {"Ref": "ProjectBistroCity"},
    }

    for name, entry in before.items():
        if entry["Type"] != "AWS::Serverless::Function":
            continue
        had = entry["Properties"]["Environment"]["Variables"]
        wanted = {**had, **(added if name in RUN_ITS_CODE else {})}
        assert after[name]["Properties"]["Environment"]["Variables"] == wanted, name


def test_exactly_the_secrets_may_be_read(project: Project) -> None:
    before, document = load(backend("template.yaml"))["Resources"], made(project)

    policies = {n: e for n, e in document["Resources"].items() if n not in before}
    del policies["ProjectLayer"]
    assert policies.keys() == {"ProjectBistroKeySecretArnPolicy", "ProjectMailKeySecretArnPolicy"}
    for name, entry in policies.items():
        (statement,) = entry["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Resource"] == {"Ref": name.removesuffix("Policy")}
        assert set(statement["Action"]) == {"secretsmanager:GetSecretValue", "ssm:GetParameter"}
        roles = {role["Ref"] for role in entry["Properties"]["Roles"]}
        assert roles == {f"{function}Role" for function in RUN_ITS_CODE} < before.keys()
    optional = policies["ProjectMailKeySecretArnPolicy"]["Condition"]
    assert document["Conditions"][optional] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ProjectMailKeySecretArn"}, ""]}]
    }


@pytest.mark.parametrize("changed", ["migrations/one.py", "bistro/tables.py"])
def test_a_migration_is_asked_for_when_it_has_changed(project: Project, changed: str) -> None:
    def asked() -> dict[str, Any]:
        properties: dict[str, Any] = made(project)["Resources"]["Migration"]["Properties"]
        return properties

    before = asked()
    assert asked() == before
    (project.root / changed).write_text("# another\n")

    assert asked() != before


def test_what_it_names_is_found_from_wherever_it_is(project: Project) -> None:
    for entry in made(project)["Resources"].values():
        for name in ("CodeUri", "ContentUri", "TemplateURL"):
            if name in entry.get("Properties", {}):
                assert Path(entry["Properties"][name]).exists()
                assert Path(entry["Properties"][name]).is_absolute()


def test_a_deployment_without_a_value_that_is_required_is_refused(project: Project) -> None:
    template = project_template(project, backend("template.yaml"), project.root / "built")
    given = {"DatabaseSecretArn": ARN, "OpenAiSecretArn": ARN, "ProjectBistroCity": "Oslo"}

    assert without_value(template, given) == ["ProjectBistroKeySecretArn"]


def test_each_path_of_its_routes_is_an_event_of_the_function_that_serves_them(
    project: Project,
) -> None:
    routed = replace(project, paths=("/notes", "/notes/{note_id}", "/notes-note-id"))
    before = load(backend("template.yaml"))["Resources"]["Sessions"]["Properties"]["Events"]

    after = made(routed)["Resources"]["Sessions"]["Properties"]["Events"]

    added = {name: event for name, event in after.items() if name not in before}
    assert before.items() <= after.items()
    assert sorted(event["Properties"]["Path"] for event in added.values()) == [
        "/notes",
        "/notes-note-id",
        "/notes/{note_id}",
    ]
    for name, event in added.items():
        assert re.fullmatch("[A-Za-z0-9]{1,60}", name)
        assert event["Type"] == "Api"
        # No authorizer of its own: the API's is asked.
        assert event["Properties"].keys() == {"RestApiId", "Method", "Path"}
        assert event["Properties"]["Method"] == "any"
        assert event["Properties"]["RestApiId"] == before["Agents"]["Properties"]["RestApiId"]


def test_a_path_that_an_own_template_has_already_is_left_to_it(project: Project) -> None:
    routed = replace(project, paths=("/agents",))

    events = made(routed)["Resources"]["Sessions"]["Properties"]["Events"]

    assert events == load(backend("template.yaml"))["Resources"]["Sessions"]["Properties"]["Events"]


@pytest.mark.parametrize("paths", [(), ("/notes",)])
def test_what_serves_routes_may_do_what_the_policies_allow(
    project: Project, paths: tuple[str, ...]
) -> None:
    policies = project.root / "policies.yaml"
    policies.write_text("Statement: {Effect: Allow, Action: 's3:GetObject', Resource: '*'}\n")

    policy = made(replace(project, policies=policies, paths=paths))["Resources"]["ProjectPolicy"]

    assert ({"Ref": "SessionsRole"} in policy["Properties"]["Roles"]) == bool(paths)
