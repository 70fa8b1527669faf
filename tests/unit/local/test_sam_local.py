"""What `make sam-local` gives to `sam local`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from samcli.local.lambdafn.env_vars import (  # type: ignore[import-untyped]
    EnvironmentVariables,
)

from parley_local.migration import migrating
from parley_local.sam_local.__main__ import NOWHERE
from parley_local.sam_local.bridge import door
from parley_local.sam_local.template import declare
from parley_local.template_file import read_template
from parley_testing.account.template import PARAMETERS

BUILT = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Work:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: Work
      Environment: {Variables: {LEVEL: !Ref Level}}
  Bare:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Bare}
  Table: {Type: AWS::DynamoDB::Table}
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(BUILT)
    return tmp_path


def test_a_function_gets_variables_that_its_template_does_not_name(build: Path) -> None:
    template, values = declare(build, {"DATABASE_URL": "postgresql://x"})

    functions = json.loads(template.read_text())["Resources"]
    given = json.loads(values.read_text())["Parameters"]
    for name in ("Work", "Bare"):
        declared = functions[name]["Properties"]["Environment"]["Variables"]
        found = EnvironmentVariables(name, 128, 3, "app.handler", {}, declared, {}, given).resolve()
        assert found["DATABASE_URL"] == "postgresql://x"


def test_only_one_function_gets_what_is_only_its_own(build: Path) -> None:
    variables = {"DATABASE_RUNTIME_URL": "postgresql://runtime@x"}
    only = {"Work": {"DATABASE_URL": "postgresql://owner@x"}}

    template, values = declare(build, variables, only)

    functions = json.loads(template.read_text())["Resources"]
    given = json.loads(values.read_text())["Parameters"]
    found = {
        name: EnvironmentVariables(
            name,
            128,
            3,
            "app.handler",
            {},
            functions[name]["Properties"]["Environment"]["Variables"],
            {},
            given,
        ).resolve()
        for name in ("Work", "Bare")
    }
    assert found["Work"]["DATABASE_URL"] == "postgresql://owner@x"
    assert "DATABASE_URL" not in found["Bare"]
    assert {each["DATABASE_RUNTIME_URL"] for each in found.values()} == {"postgresql://runtime@x"}


def test_the_function_that_migrates_is_known_by_its_folder() -> None:
    assert migrating(read_template(Path("template.yaml"))) == ["Migrate"]


def test_what_the_template_says_stays(build: Path) -> None:
    template, _ = declare(build, {"DATABASE_URL": "postgresql://x"})

    resources = json.loads(template.read_text())["Resources"]
    declared = resources["Work"]["Properties"]["Environment"]["Variables"]
    assert declared["LEVEL"] == {"Ref": "Level"}
    assert resources["Table"] == {"Type": "AWS::DynamoDB::Table"}


def test_only_this_user_can_read_the_values(build: Path) -> None:
    _, values = declare(build, {"OPENAI_API_KEY": "sk"})

    assert values.stat().st_mode & 0o077 == 0


def test_the_secret_that_leads_nowhere_is_one_that_the_template_takes() -> None:
    import re

    assert re.fullmatch(PARAMETERS["DatabaseSecretArn"]["AllowedPattern"], NOWHERE)


@pytest.mark.enable_socket
async def test_the_door_leads_to_the_socket_both_ways(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async with (
        await asyncio.start_unix_server(echo, tmp_path / "s"),
        door("127.0.0.1", tmp_path / "s") as port,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
