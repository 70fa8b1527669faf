"""What `make deploy` hands to `sam deploy`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]

from parley_deploy import choices, region
from parley_testing.account.template import PARAMETERS, ROOT

DATABASE = "arn:aws:ssm:eu-west-1:123456789012:parameter/database"
OPENAI = "arn:aws:ssm:eu-west-1:123456789012:parameter/openai"
RUNTIME = "arn:aws:ssm:eu-west-1:123456789012:parameter/runtime"
SECRETS = {"DATABASE_SECRET_ARN": DATABASE, "OPENAI_SECRET_ARN": OPENAI}
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())


@pytest.fixture
def samconfig(tmp_path: Path) -> Path:
    file = tmp_path / "samconfig.toml"
    file.write_text(
        'version = 0.1\n[default.deploy.parameters]\nparameter_overrides = ["LogLevel=DEBUG"]\n'
    )
    return file


def test_the_file_the_secrets_and_the_build_are_put_together(samconfig: Path) -> None:
    found = choices.chosen(samconfig, "default", [], SECRETS, "x86_64")

    assert found == {
        "LogLevel": "DEBUG",
        "DatabaseSecretArn": DATABASE,
        "OpenAiSecretArn": OPENAI,
        "Architecture": "x86_64",
    }


def test_what_is_given_goes_over_the_file(samconfig: Path) -> None:
    found = choices.chosen(samconfig, "default", ["LogLevel=ERROR"], SECRETS, "arm64")

    assert found["LogLevel"] == "ERROR"


def test_the_architecture_is_that_of_the_build_whatever_is_given(samconfig: Path) -> None:
    found = choices.chosen(samconfig, "default", ["Architecture=arm64"], SECRETS, "x86_64")

    assert found["Architecture"] == "x86_64"


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_that_is_missing_is_named(samconfig: Path, variable: str) -> None:
    others = {name: value for name, value in SECRETS.items() if name != variable}

    with pytest.raises(choices.MissingSecret, match=variable):
        choices.chosen(samconfig, "default", [], others, "arm64")


@pytest.mark.parametrize("given", ["LogLevel", "=x", "Log Level=x"])
def test_what_is_no_parameter_is_refused(samconfig: Path, given: str) -> None:
    with pytest.raises(ValueError, match="Name=value"):
        choices.chosen(samconfig, "default", [given], SECRETS, "arm64")


def test_an_environment_that_is_not_there_is_refused(samconfig: Path) -> None:
    with pytest.raises(ValueError, match="prod"):
        choices.chosen(samconfig, "prod", [], SECRETS, "arm64")


@pytest.mark.parametrize("value", ["", "plain", "two words", "a,b", 'quo"te', "back\\slash", "a=b"])
def test_sam_reads_every_value_as_it_was_meant(value: str) -> None:
    read = CfnParameterOverridesType().convert((f"Name={choices.quoted(value)}",), None, None)

    assert read == {"Name": value}


def test_another_choice_makes_another_package(tmp_path: Path) -> None:
    # Or SAM would publish no version, and the alias go on with the old settings.
    choices.stamp({"OpenAiModel": "one"}, [tmp_path])
    first = (tmp_path / "parameters.sha256").read_text()

    choices.stamp({"OpenAiModel": "two"}, [tmp_path])

    assert (tmp_path / "parameters.sha256").read_text() != first


def test_the_same_choice_makes_the_same_package(tmp_path: Path) -> None:
    choices.stamp({"A": "1", "B": "2"}, [tmp_path])
    first = (tmp_path / "parameters.sha256").read_text()

    choices.stamp({"B": "2", "A": "1"}, [tmp_path])

    assert (tmp_path / "parameters.sha256").read_text() == first


@pytest.mark.parametrize(("name", "variable"), choices.EVERY_SECRET.items())
def test_a_variable_does_not_win_over_what_is_written_for_an_environment(
    samconfig: Path, name: str, variable: str
) -> None:
    # All three, since half of what a database needs is not taken from the shell either.
    given = {**SECRETS, "DATABASE_RUNTIME_SECRET_ARN": RUNTIME}
    file = {other: given[shell] + "-of-prod" for other, shell in choices.EVERY_SECRET.items()}
    overrides = [f"{other}={arn}" for other, arn in file.items()]
    samconfig.write_text(f"[prod.deploy.parameters]\nparameter_overrides = {overrides}\n")
    exported = {variable: given[variable]}

    with pytest.raises(ValueError, match=rf"names {file[name]} as {name} of prod, and {variable}"):
        choices.chosen(samconfig, "prod", [], exported, "arm64")

    assert choices.chosen(samconfig, "prod", [], {}, "arm64")[name] == file[name]
    same = {variable: file[name]}
    assert choices.chosen(samconfig, "prod", [], same, "arm64")[name] == file[name]
    meant = choices.chosen(samconfig, "prod", [f"{name}=arn:x"], exported, "arm64")
    assert meant[name] == "arn:x"


@pytest.mark.parametrize(
    ("written", "exported"),
    [
        ("DatabaseSecretArn", "DatabaseRuntimeSecretArn"),
        ("DatabaseRuntimeSecretArn", "DatabaseSecretArn"),
    ],
)
def test_a_variable_does_not_give_an_environment_half_of_another_database(
    samconfig: Path, written: str, exported: str
) -> None:
    samconfig.write_text(f'[prod.deploy.parameters]\nparameter_overrides = ["{written}=arn:p"]\n')
    variable = choices.EVERY_SECRET[exported]
    exports = {variable: "arn:dev", "OPENAI_SECRET_ARN": OPENAI}

    with pytest.raises(ValueError, match=rf"names {written} of prod, and only {variable} says"):
        choices.chosen(samconfig, "prod", [], exports, "arm64")

    meant = choices.chosen(samconfig, "prod", [f"{exported}=arn:x"], exports, "arm64")
    assert (meant[written], meant[exported]) == ("arn:p", "arn:x")


@pytest.mark.parametrize(
    ("written", "variables", "profile", "found"),
    [
        ("a", {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "d", ("a", "samconfig.toml")),
        (None, {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "d", ("b", "AWS_REGION")),
        (None, {"AWS_DEFAULT_REGION": "c", "AWS_REGION": ""}, "d", ("c", "AWS_DEFAULT_REGION")),
        (None, {}, "d", ("d", "the AWS CLI's profile")),
    ],
)
def test_the_region_is_what_is_written_then_what_the_aws_cli_would_take(
    written: str | None, variables: dict[str, str], profile: str, found: tuple[str, str]
) -> None:
    assert region.region_of(written, variables, lambda: profile) == region.Region(*found)


def test_without_a_region_nothing_is_deployed_anywhere() -> None:
    with pytest.raises(ValueError, match="no region is given"):
        region.region_of(None, {}, lambda: None)


@pytest.mark.parametrize("name", choices.EVERY_SECRET)
def test_a_secret_of_another_region_is_refused(name: str) -> None:
    secrets = {
        "DatabaseSecretArn": DATABASE,
        "OpenAiSecretArn": OPENAI,
        "DatabaseRuntimeSecretArn": RUNTIME,
    }
    here = region.Region("eu-west-1", "AWS_REGION")

    region.check_secrets(secrets, here)

    secrets[name] = secrets[name].replace("eu-west-1", "us-east-1")
    with pytest.raises(ValueError, match=f"{name} is in us-east-1.* eu-west-1, as AWS_REGION"):
        region.check_secrets(secrets, here)


def test_the_region_and_the_secrets_are_said_back_before_anything_is_made() -> None:
    done = run_check(AWS_REGION="eu-west-1", AWS_DEFAULT_REGION="us-east-1", **SECRETS)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "make deploy: the stack parley in eu-west-1, as AWS_REGION says.",
        f"  DatabaseSecretArn {DATABASE}",
        f"  OpenAiSecretArn {OPENAI}",
        "  DatabaseRuntimeSecretArn is not given",
    ]


def test_a_profiles_region_is_taken(tmp_path: Path) -> None:
    profiles = tmp_path / "config"
    profiles.write_text("[default]\nregion = us-east-2\n[profile work]\nregion = eu-west-1\n")

    done = run_check(AWS_CONFIG_FILE=str(profiles), AWS_PROFILE="work", **SECRETS)
    other = run_check(AWS_CONFIG_FILE=str(profiles), **SECRETS)

    assert done.returncode == 0, done.stderr
    assert "in eu-west-1, as the AWS CLI's profile says" in done.stdout
    assert other.returncode == 2
    assert "in us-east-2" in other.stderr


@pytest.mark.parametrize("target", ["deploy", "delete"])
def test_make_takes_no_region_of_its_own_for_the_callers(target: str) -> None:
    environment = {name: value for name, value in os.environ.items() if "AWS_" not in name}

    def shown(**more: str) -> list[str]:
        done = subprocess.run(
            ["make", "--dry-run", target],
            cwd=ROOT,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in done.stdout.splitlines() if "-m parley_deploy" in line]

    assert shown()
    assert all(line.startswith("env -u AWS_DEFAULT_REGION ") for line in shown())
    # What the caller said is left alone.
    assert not any("-u AWS_DEFAULT_REGION" in line for line in shown(AWS_DEFAULT_REGION="x"))


def run_check(**variables: str) -> subprocess.CompletedProcess[str]:
    """What `make deploy` does before it builds, with these of the variables that matter only."""
    left_out = ("AWS_", *choices.EVERY_SECRET.values())
    own = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    own |= {"PYTHONPATH": str(ROOT / "packaging"), "AWS_CONFIG_FILE": os.devnull}
    command = [sys.executable, "-P", "-m", "parley_deploy", "--build", "none", "--env", "default"]
    return subprocess.run(
        [*command, "--architecture", "arm64", "--check"],
        cwd=ROOT,
        env={**own, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_deploy_says_what_is_missing_and_how_to_give_it() -> None:
    done = run_check(AWS_REGION="eu-west-1")

    assert done.returncode == 2
    assert "DATABASE_SECRET_ARN is not given" in done.stderr
    assert "make deploy DATABASE_SECRET_ARN=arn:… OPENAI_SECRET_ARN=arn:…" in done.stderr


@pytest.mark.parametrize("env", ["default", "prod"])
def test_an_environment_names_only_parameters_that_there_are(env: str) -> None:
    found = choices.chosen(ROOT / "samconfig.toml", env, [], SECRETS, "arm64")

    assert set(found) <= set(PARAMETERS)
    for name, value in found.items():
        allowed = PARAMETERS[name].get("AllowedValues")
        assert allowed is None or value in map(str, allowed)


@pytest.mark.parametrize("env", ["default", "prod"])
def test_an_environment_never_builds_from_the_cache(env: str) -> None:
    # It does not see that uv.lock has changed.
    assert SAMCONFIG[env]["build"]["parameters"]["cached"] is False


def test_production_asks_before_it_changes_anything() -> None:
    assert SAMCONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
    names = {SAMCONFIG[env]["global"]["parameters"]["stack_name"] for env in ("default", "prod")}
    assert len(names) == 2
