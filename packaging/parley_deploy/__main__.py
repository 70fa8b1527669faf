"""`make deploy`: hands what was built to `sam deploy`, with its region and all its parameters."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import boto3
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from parley_deploy.account import decided, deployed_parameters, find_account
from parley_deploy.choices import EVERY_SECRET, MissingSecret, chosen, quoted, stamp, written_for
from parley_deploy.region import Region, check_secrets, region_of
from parley_local.cloudformation import load


def published(build: Path) -> list[Path]:
    """Return the built packages of which versions are published."""
    resources = load(build / "template.yaml")["Resources"].values()
    return [
        build / resource["Properties"]["CodeUri"]
        for resource in resources
        if resource.get("Properties", {}).get("AutoPublishAlias")
    ]


def without_value(template: Path, parameters: Mapping[str, str]) -> list[str]:
    """Return the parameters of a template that must be given, such as a project's, and are not."""
    entries = load(template)["Parameters"]
    return [name for name in entries if "Default" not in entries[name] and name not in parameters]


def main() -> int:
    """Deploy; the exit status is `sam`'s, or 2 when something was not given or does not fit.

    With `--try` it is 1 when something that was given cannot be used.
    """
    parser = argparse.ArgumentParser("parley_deploy", description="Deploy what was built.")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--env", required=True, help="an environment of samconfig.toml")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--project", type=Path, help="the folder of somebody's own project")
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    parser.add_argument("--try", dest="tries", action="store_true", help="try what it needs")
    parser.add_argument("--delete", action="store_true", help="take the deployment down")
    parser.add_argument("parameters", nargs="*", help="Name=value")
    asked = parser.parse_args()
    program = "parley" if asked.project else "make"
    target = f"{program} {'delete' if asked.delete else 'deploy'}"
    samconfig = (asked.project or Path()) / "samconfig.toml"
    try:
        written = written_for(samconfig, asked.env, "delete" if asked.delete else "deploy")
        region = region_of(written.get("region"), os.environ, _profiles_region)
        stack = written["stack_name"]
        if asked.delete:
            _say(target, stack, region)
            _become("delete", samconfig, region, asked.env)
        parameters = chosen(samconfig, asked.env, asked.parameters, os.environ, asked.architecture)
        check_secrets(parameters, region)
    except MissingSecret as missing:
        print(
            f"{target}: {missing.variable} is not given. It is the ARN of a secret in Secrets "
            "Manager or of a SecureString in SSM; docs/deploy.md shows how to make both. Then:\n  "
            + _with_secrets(target, own=asked.project is not None),
            file=sys.stderr,
        )
        return 2
    except ValueError as fault:
        print(f"{target}: {fault}.", file=sys.stderr)
        return 2
    _say(target, stack, region)
    for name in EVERY_SECRET:
        print(f"  {name} {parameters.get(name) or 'is not given'}")
    if asked.check:
        return 0
    if asked.tries:
        # What it imports is not needed to deploy.
        from parley_deploy.check import faults

        os.environ |= region.variables

        def deployed() -> Mapping[str, str] | None:
            session = boto3.Session(region_name=region.name)
            return deployed_parameters(session.client("cloudformation"), stack)

        return 1 if faults(parameters, deployed, print) else 0
    parameters |= _of_the_account(parameters, stack, region)
    unset = without_value(asked.build / "template.yaml", parameters)
    if unset:
        print(f"{target}: these parameters have no value: {', '.join(unset)}.", file=sys.stderr)
        return 2
    stamp(parameters, published(asked.build))
    overrides = [f"{name}={quoted(value)}" for name, value in parameters.items()]
    template = ["--template-file", str(asked.build / "template.yaml")]
    _become("deploy", samconfig, region, asked.env, *template, "--parameter-overrides", *overrides)


def _with_secrets(target: str, *, own: bool) -> str:
    secrets = "DATABASE_SECRET_ARN=arn:… OPENAI_SECRET_ARN=arn:…"
    return f"{secrets} {target}" if own else f"{target} {secrets}"


def _say(target: str, stack: str, region: Region) -> None:
    print(f"{target}: the stack {stack} in {region.name}, as {region.said_by} says.")


def _of_the_account(parameters: Mapping[str, str], stack: str, region: Region) -> dict[str, str]:
    try:
        account = find_account(boto3.Session(region_name=region.name), stack)
    except (BotoCoreError, ClientError) as error:
        print(
            f"The account could not be looked at, so no limits are set: {error}",
            file=sys.stderr,
        )
        return {}
    found, said = decided(parameters, account)
    for sentence in said:
        print(f"  {sentence}")
    return found


def _profiles_region() -> str | None:
    region: str | None = botocore.session.Session().get_config_variable("region")
    return region


def _become(command: str, samconfig: Path, region: Region, env: str, *more: str) -> NoReturn:
    """Go on as `sam`, to which every way of saying a region now says this one."""
    sam = str(Path(sys.executable).with_name("sam"))
    own = ["--config-file", str(samconfig.resolve()), "--config-env", env, "--region", region.name]
    sys.stdout.flush()
    os.execve(sam, [sam, command, *own, *more], {**os.environ, **region.variables})


if __name__ == "__main__":
    sys.exit(main())
