"""Where a deployment is made: one region, said back before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parley_deploy.choices import EVERY_SECRET


@dataclass(frozen=True)
class Region:
    """A region, and who said so, in words for the person who deploys."""

    name: str
    said_by: str

    @property
    def variables(self) -> dict[str, str]:
        """What makes any client of AWS take this region, however it looks for one."""
        return {"AWS_REGION": self.name, "AWS_DEFAULT_REGION": self.name}


def region_of(
    written: str | None, variables: Mapping[str, str], profile: Callable[[], str | None]
) -> Region:
    """Return the region to deploy to.

    What is written for an environment goes before the shell's variables, in the order of the AWS
    CLI, and those before the profile.

    Args:
        written: The environment's `region` in samconfig.toml.
        variables: The shell's.
        profile: Looks up the region of the AWS CLI's profile.

    Raises:
        ValueError: Nobody says a region.
    """
    if written:
        return Region(written, "samconfig.toml")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if variables.get(name):
            return Region(variables[name], name)
    if region := profile():
        return Region(region, "the AWS CLI's profile")
    raise ValueError(
        'no region is given; export AWS_REGION=…, or write region = "…" for the environment in '
        "samconfig.toml"
    )


def check_secrets(parameters: Mapping[str, str], region: Region) -> None:
    """Make sure that the functions could read their secrets, which never leave their region.

    Raises:
        ValueError: A secret is in another region; the message names both.
    """
    for name in EVERY_SECRET:
        if not parameters.get(name):
            continue
        arn = parameters[name].split(":")
        theirs = arn[3] if len(arn) > 3 else ""
        if theirs != region.name:
            raise ValueError(
                f"the secret of {name} is in {theirs or 'no region'}, and the stack would be made "
                f"in {region.name}, as {region.said_by} says; both have to be in one region"
            )
