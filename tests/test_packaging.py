"""What is installed, what is pinned, and where CONTRIBUTING says that things are."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sbcore
from tests.conftest import REPOSITORY
from tests.test_architecture import imports

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENGINE, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
WHOLE = ENGINE + EXTRAS["onnx"]
OURS = {"sbcore", "studies", "demo", "train", "evaluate", "app", "tests"}
PACKAGE = {"PIL": "pillow", "cv2": "opencv-python-headless", "ot": "pot", "gradio_client": "gradio"}

CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
QUESTIONS = [line for line in CONTRIBUTING if line.startswith("| ")][1:]  # without the heading
ANSWER = re.compile(r"^\| [^|`]+ \| `(?P<path>[^`]+)`(: `(?P<name>\w+)`)? \|$")


def parsed(lines: Iterable[str]) -> dict[str, Requirement]:
    """Requirements by the name of their package."""
    found = [Requirement(line) for line in lines if line and not line.startswith("-r ")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def pinned(*files: str) -> dict[str, Requirement]:
    return parsed(
        line for file in files for line in (REPOSITORY / file).read_text("utf-8").splitlines()
    )


def imported(*places: str) -> set[str]:
    """Packages that the files of some places import, but ours and the standard library."""
    files = [file for place in places for file in REPOSITORY.glob(place)]
    modules = {name.split(".")[0] for file in files for name in imports(file)}
    packages = modules - OURS - sys.stdlib_module_names
    return {canonicalize_name(PACKAGE.get(module, module)) for module in packages}


ENGINE_FILES = ("sbcore/**/*.py",)
APP_FILES = (*ENGINE_FILES, "demo/**/*.py", "app.py", "train.py")
MEASURED = ("blend", "crop", "faces", "holes", "paste")  # of the page, by studies
PHOTO_FILES = ("demo/imaging.py", *(f"demo/photos/{name}.py" for name in MEASURED))
STUDY_FILES = (*ENGINE_FILES, *PHOTO_FILES, "studies/**/*.py", "evaluate.py")


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        (WHOLE, ENGINE_FILES),
        (WHOLE + EXTRAS["app"], APP_FILES),
        (WHOLE + EXTRAS["studies"] + EXTRAS["fid"] + ["gradio"], STUDY_FILES),
    ],
    ids=["engine", "app", "studies"],
)
def test_what_is_asked_for_is_what_is_imported(asked: list[str], files: tuple[str, ...]) -> None:
    assert imported(*files) == set(parsed(asked))


def test_pins_are_versions_that_the_project_asks_for() -> None:
    asked = WHOLE + EXTRAS["app"]
    assert set(pinned("requirements.txt")) == set(parsed(asked))
    pins = pinned("requirements.txt", "requirements-dev.txt")
    ranges = parsed(asked + EXTRAS["studies"] + EXTRAS["dev"])
    assert set(pins) == set(ranges)
    assert pins.pop("torch").specifier == ranges["torch"].specifier  # whichever build is there
    for name, pin in pins.items():
        (exact,) = pin.specifier
        assert exact.operator == "==", f"{name} is not pinned"
        assert exact.version in ranges[name].specifier, f"{name}: {exact} against {ranges[name]}"
    space = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("---")[1]
    (version,) = re.findall(r"^sdk_version: (.+)$", space, re.MULTILINE)
    assert str(pins["gradio"].specifier) == f"=={version}"


LOCKED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<hashes>( \\\n    --hash=\S+)+)$", re.M
)
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_holds_every_pin_with_hashes_and_no_place_to_fetch_from() -> None:
    lock = {canonicalize_name(one["name"]): one for one in LOCKED.finditer(LOCK)}
    lines = [line for line in LOCK.splitlines() if line and line[0] not in "# "]
    assert len(lock) == len(lines) and "://" not in LOCK and "index" not in LOCK
    for one in lock.values():
        hashes = one["hashes"].split()[1::2]
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)
    pins = pinned("requirements.txt")
    del pins["torch"]  # that of the host
    assert {name: f"=={lock[name]['version']}" for name in pins} == {
        name: str(pin.specifier) for name, pin in pins.items()
    }
    assert "torch" not in lock and Version(lock["python-multipart"]["version"]) >= Version("0.0.27")


def test_the_lock_is_complete() -> None:
    """What a locked package asks for is locked; as its metadata says, where it is installed."""
    lock = {canonicalize_name(one["name"]): one["version"] for one in LOCKED.finditer(LOCK)}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "python_version": "3.12"}
    linux |= {"python_full_version": "3.12.0", "platform_machine": "x86_64", "extra": ""}
    looked = 0
    for name, version in lock.items():
        with suppress(metadata.PackageNotFoundError):
            if metadata.version(name) != version:
                continue
            looked += 1
            asked = map(Requirement, metadata.requires(name) or [])
            needed = {r for r in asked if r.marker is None or r.marker.evaluate(linux)}
            for one in needed:
                found = canonicalize_name(one.name)
                assert found == "torch" or lock[found] in one.specifier, f"{name} needs {one}"
    assert looked > len(lock) / 2


def test_the_wheel_is_the_engine_with_its_types_its_version_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Of a copy of the tree: building leaves files beside the sources."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for name in ("sbcore", "studies", "demo", "tests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(tmp_path / "dist"), str(tmp_path)], check=True)
    (built,) = (tmp_path / "dist").iterdir()
    wheel = zipfile.ZipFile(built)
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("sbcore/**/*.py")}
    assert held == sources | {"sbcore/py.typed"}
    (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    assert f"\nVersion: {sbcore.__version__}\n" in wheel.read(metadata).decode()


def defined(path: Path) -> set[str]:
    """Functions, classes and constants of a file."""
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    made = (ast.FunctionDef, ast.ClassDef)
    names = {statement.name for statement in statements if isinstance(statement, made)}
    assigned = [statement for statement in statements if isinstance(statement, ast.Assign)]
    return names | {ast.unparse(target) for each in assigned for target in each.targets}


@pytest.mark.parametrize("row", QUESTIONS)
def test_contributing_gives_one_place_that_is_there(row: str) -> None:
    answer = ANSWER.search(row)
    assert answer is not None, "no path, or more than one"
    path, name = REPOSITORY / answer["path"], answer["name"]
    assert path.exists()
    assert name is None or name in defined(path)
