"""`make deploy`: hands what was built to `sam deploy`, with all of its parameters."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from parley_deploy.choices import MissingSecret, chosen, quoted, stamp
from parley_local.cloudformation import load


def published(build: Path) -> list[Path]:
    """Return the built packages of which versions are published."""
    resources = load(build / "template.yaml")["Resources"].values()
    return [
        build / resource["Properties"]["CodeUri"]
        for resource in resources
        if resource.get("Properties", {}).get("AutoPublishAlias")
    ]


def main() -> int:
    """Deploy; the exit status is `sam deploy`'s, or 2 when something was not given.

    With `--try` it is 1 when something that was given cannot be used.
    """
    parser = argparse.ArgumentParser("parley_deploy", description="Deploy what was built.")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--env", required=True, help="an environment of samconfig.toml")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    parser.add_argument("--try", dest="tries", action="store_true", help="try what it needs")
    parser.add_argument("parameters", nargs="*", help="Name=value")
    asked = parser.parse_args()
    samconfig = Path("samconfig.toml")
    try:
        parameters = chosen(samconfig, asked.env, asked.parameters, os.environ, asked.architecture)
    except MissingSecret as missing:
        print(
            f"make deploy: {missing.variable} is not given. It is the ARN of a secret in Secrets "
            "Manager or of a SecureString in SSM; docs/deploy.md shows how to make both. Then:\n"
            "  make deploy DATABASE_SECRET_ARN=arn:… OPENAI_SECRET_ARN=arn:…",
            file=sys.stderr,
        )
        return 2
    except ValueError as fault:
        print(f"make deploy: {fault}.", file=sys.stderr)
        return 2
    if asked.check:
        return 0
    if asked.tries:
        # What it imports is not needed to deploy.
        from parley_deploy.check import faults

        return 1 if faults(parameters, print) else 0
    stamp(parameters, published(asked.build))
    sam = str(Path(sys.executable).with_name("sam"))
    overrides = [f"{name}={quoted(value)}" for name, value in parameters.items()]
    command = [sam, "deploy", "--template-file", str(asked.build / "template.yaml")]
    command += ["--config-file", str(samconfig.resolve()), "--config-env", asked.env]
    command += ["--parameter-overrides", *overrides]
    sys.stdout.flush()
    os.execv(sam, command)


if __name__ == "__main__":
    sys.exit(main())
