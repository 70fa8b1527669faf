"""What of a project's own dependencies is packaged, at which versions, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from parley_packages.from_source import install_sources
from parley_packages.own import Own, own_requirements
from parley_packages.requirements import names, pinned
from parley_packages.target import Target
from parley_project.faults import ProjectFaults
from parley_testing.packaged.wheels import source_tree, wheel

TARGET = Target("arm64", "3.13")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels, and one for what uv keeps, such as what it knows of a Python."""
    place = tmp_path_factory.mktemp("place")
    folder = place / "wheels"
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
    return place


@pytest.fixture(autouse=True)
def wheels(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What can be had: nothing but the tests' own wheels."""
    monkeypatch.setenv("UV_FIND_LINKS", str(place / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(place / "cache"))
    # Or it asks each Python that is found, which may be many.
    git = shutil.which("git")
    assert git is not None
    monkeypatch.setenv("PATH", f"{Path(sys.base_prefix, 'bin')}{os.pathsep}{Path(git).parent}")
    monkeypatch.chdir(tmp_path)
    return place / "wheels"


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

    assert names(found.wheels) == ["shop-desk", "shop-prices"]
    assert "shop-prices==2.0" in found.wheels
    assert found.wheels.count("--hash=sha256:") == 2
    assert found.sources == ()


def test_what_parley_depends_on_and_leaves_out_is_packaged_for_who_needs_it() -> None:
    file = project("cryptography")

    assert names(own_requirements(file, TARGET, ["cryptography"]).wheels) == ["cryptography"]
    assert own_requirements(file, TARGET) == Own()


def test_parley_alone_needs_nothing_more() -> None:
    assert own_requirements(project("Parley_Serverless", "parley-client"), TARGET) == Own()
    Path("pyproject.toml").write_text("[tool.parley]\n")
    assert own_requirements(Path("pyproject.toml").resolve(), TARGET) == Own()


def test_the_projects_lock_file_says_which_version() -> None:
    file = project("shop-prices")
    uv = Path(sys.executable).with_name("uv")
    file.write_text(file.read_text().replace("shop-prices", "shop-prices<2"))
    subprocess.run([uv, "lock", "--quiet"], cwd=file.parent, check=True)
    file.write_text(file.read_text().replace("shop-prices<2", "shop-prices"))

    assert "shop-prices==1.0" in own_requirements(file, TARGET).wheels


def of_sources(dependencies: list[str], **sources: str) -> Path:
    file = project(*dependencies)
    places = "".join(f"{name} = {place}\n" for name, place in sources.items())
    file.write_text(f"{file.read_text()}[tool.uv.sources]\n{places}")
    return file


@pytest.mark.parametrize(
    ("named", "more"),
    [
        ('{ path = "shop" }', ""),
        ('{ path = "shop", editable = true }', ""),
        ("{ workspace = true }", '[tool.uv.workspace]\nmembers = ["shop"]\n'),
    ],
)
def test_a_folder_is_built_and_what_it_needs_is_pinned(named: str, more: str) -> None:
    folder = source_tree(Path("shop"), "shop", {"__init__.py": ""}, "shop-prices<2")
    file = of_sources(["parley-serverless", "shop"], shop=named)
    file.write_text(file.read_text() + more)

    found = own_requirements(file, TARGET)

    assert [each.requirement for each in found.sources] == [f"shop @ {folder.resolve().as_uri()}"]
    assert names(found.wheels) == ["shop-prices"]
    assert "shop-prices==1.0" in found.wheels


def test_a_wheel_that_is_a_file_is_taken_by_its_hash(wheels: Path) -> None:
    made = wheels / "shop_prices-1.0-py3-none-any.whl"

    found = own_requirements(project(f"shop-prices @ {made.as_uri()}"), TARGET)

    assert found.wheels.startswith(f"shop-prices @ {made.as_uri()} \\\n    --hash=sha256:")
    assert found.sources == ()


def test_a_repository_is_built_at_the_revision_of_the_lock_file() -> None:
    def commit(text: str) -> str:
        source_tree(repository, "shop", {"__init__.py": text})
        by = ("-c", "user.email=a@b", "-c", "user.name=a")
        for arguments in (["init", "-q"], ["add", "-A"], [*by, "commit", "-qm", "x"]):
            subprocess.run(["git", *arguments], cwd=repository, check=True)
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
        )
        return said.stdout.strip()

    def revision() -> list[str]:
        return [each.requirement for each in own_requirements(file, TARGET).sources]

    repository = Path("repository").resolve()
    file = of_sources(["shop"], shop=f'{{ git = "{repository.as_uri()}" }}')
    first = commit("price = 1")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock", "--quiet"], cwd=file.parent, check=True)
    second = commit("price = 2")

    assert revision() == [f"shop @ git+{repository.as_uri()}@{first}"]
    Path("uv.lock").unlink()
    assert revision() == [f"shop @ git+{repository.as_uri()}@{second}"]


def test_the_versions_of_a_workspace_are_those_of_its_lock_file() -> None:
    root = project()
    root.write_text(root.read_text() + '[tool.uv.workspace]\nmembers = ["desks/one"]\n')
    member = root.parent / "desks" / "one" / "pyproject.toml"
    member.parent.mkdir(parents=True)
    member.write_text(root.read_text().split("[tool")[0].replace('"desk"', '"one"'))
    member.write_text(member.read_text().replace("[]", '["shop-prices<2"]'))
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock", "--quiet"], cwd=root.parent, check=True)
    member.write_text(member.read_text().replace("<2", ""))

    assert "shop-prices==1.0" in own_requirements(member, TARGET).wheels


def test_what_is_built_is_what_stands_there_now(tmp_path: Path) -> None:
    folder = source_tree(tmp_path / "shop", "shop", {"__init__.py": "", "prices.csv": "1"})
    (source,) = own_requirements(project(f"shop @ {folder.as_uri()}"), TARGET).sources

    install_sources([source], tmp_path / "one", TARGET)
    (folder / "shop" / "prices.csv").write_text("2")
    install_sources([source], tmp_path / "two", TARGET)

    assert [(tmp_path / n / "shop/prices.csv").read_text() for n in ("one", "two")] == ["1", "2"]


def test_what_only_this_machine_could_run_is_refused_with_its_name(tmp_path: Path) -> None:
    tag = next(each for each in sys_tags() if each.platform != "any")
    places = {}
    for name in ("shop_fast", "shop_faster"):
        folder = source_tree(tmp_path / name, name, {"__init__.py": ""}, tag=str(tag))
        places[name] = f'{{ path = "{folder}" }}'
    broken = source_tree(tmp_path / "shop_broken", "shop_broken", {})
    (broken / "build_it.py").write_text("")
    places["shop_broken"] = f'{{ path = "{broken}" }}'
    own = own_requirements(of_sources(list(places), **places), TARGET)

    with pytest.raises(ProjectFaults) as raised:
        install_sources(own.sources, tmp_path / "made", TARGET)

    said = {each.split(" @ ")[0]: each.split(": ", 1)[1] for each in raised.value.sentences}
    assert said.keys() == {"shop-fast", "shop-faster", "shop-broken"}
    assert said["shop-broken"].startswith("cannot be built: ")
    for name in ("shop-fast", "shop-faster"):
        assert said[name] == (
            f"has compiled modules, which are made here for {tag}; build a wheel of it for"
            " aarch64-manylinux_2_28, and depend on that"
        )


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
