"""What `make deploy` hands to `sam deploy`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]

from parley_deploy import choices
from parley_testing.template import PARAMETERS, ROOT

DATABASE = "arn:aws:ssm:eu-west-1:123456789012:parameter/database"
OPENAI = "arn:aws:ssm:eu-west-1:123456789012:parameter/openai"
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


def test_make_deploy_says_what_is_missing_and_how_to_give_it() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    environment["PYTHONPATH"] = str(ROOT / "packaging")
    command = [sys.executable, "-P", "-m", "parley_deploy", "--build", "none", "--env", "default"]

    done = subprocess.run(
        [*command, "--architecture", "arm64", "--check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

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
