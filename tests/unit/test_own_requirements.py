"""What of a project's own dependencies is packaged, at which versions, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from parley_packages.own import own_requirements
from parley_packages.requirements import names, pinned
from parley_packages.target import Target
from parley_project.faults import ProjectFaults
from parley_testing.packaged.wheels import wheel

TARGET = Target("arm64", "3.13")


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What can be had: nothing but the test's own wheels."""
    folder = tmp_path / "wheels"
    wheel(folder, "shop_prices", "1.0", {"shop_prices.py": ""})
    wheel(folder, "shop_prices", "2.0", {"shop_prices.py": ""})
    wheel(folder, "shop_desk", "1.0", {"shop_desk.py": ""}, "shop-prices", "pydantic>=2")
    for name in ("pydantic", "cryptography"):
        ours = re.search(rf"^{name}==(\S+)", pinned(), re.MULTILINE)
        assert ours is not None
        wheel(folder, name, ours[1], {f"{name}.py": ""})
    wheel(folder, "shop_old", "1.0", {"shop_old.py": ""}, "pydantic<2")
    with tarfile.open(folder / "shop_source-1.0.tar.gz", "w:gz"):
        pass
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def project(*dependencies: str) -> Path:
    file = Path("pyproject.toml").resolve()
    listed = ", ".join(f'"{each}"' for each in dependencies)
    file.write_text(
        f'[project]\nname = "desk"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{listed}]\n"
    )
    return file


def test_what_parley_has_already_is_left_out_and_the_rest_is_pinned_with_hashes() -> None:
    found = own_requirements(project("parley-serverless[dev]>=0.1", "shop_desk"), TARGET)

    assert names(found) == ["shop-desk", "shop-prices"]
    assert "shop-prices==2.0" in found
    assert found.count("--hash=sha256:") == 2


def test_what_parley_depends_on_and_leaves_out_is_packaged_for_who_needs_it() -> None:
    file = project("cryptography")

    assert names(own_requirements(file, TARGET, ["cryptography"])) == ["cryptography"]
    assert own_requirements(file, TARGET) == ""


def test_parley_alone_needs_nothing_more() -> None:
    assert own_requirements(project("Parley_Serverless", "parley-client"), TARGET) == ""
    Path("pyproject.toml").write_text("[tool.parley]\n")
    assert own_requirements(Path("pyproject.toml").resolve(), TARGET) == ""


def test_the_projects_lock_file_says_which_version() -> None:
    file = project("shop-prices")
    uv = Path(sys.executable).with_name("uv")
    file.write_text(file.read_text().replace("shop-prices", "shop-prices<2"))
    subprocess.run([uv, "lock", "--quiet"], cwd=file.parent, check=True)
    file.write_text(file.read_text().replace("shop-prices<2", "shop-prices"))

    assert "shop-prices==1.0" in own_requirements(file, TARGET)


@pytest.mark.parametrize(
    ("dependency", "named"),
    [("shop-old", "pydantic"), ("shop-source", "shop-source"), ("shop-none", "shop-none")],
)
def test_what_does_not_go_with_parley_or_has_no_wheel_is_named(dependency: str, named: str) -> None:
    with pytest.raises(ProjectFaults) as raised:
        own_requirements(project(dependency), TARGET)

    (said,) = raised.value.sentences
    assert said.startswith("pyproject.toml: [project] dependencies: ")
    assert named in said
