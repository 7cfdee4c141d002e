"""Imports point one way, and each layer keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# From the ground up: a file may import from layers below its own and from its own package.
LAYERS = (
    {"sbcore/runtime"},
    {"sbcore/networks", "sbcore/data"},
    {"sbcore/twostage", "sbcore/ipf", "sbcore/features.py"},
    {"sbcore/plane", "sbcore/load.py"},
    {"sbcore/__init__.py"},
    {"demo/imaging.py"},  # the work on photos, which studies measure and which knows no page
    {"demo/photos/crop.py", "demo/photos/blend.py"},
    {"demo/photos/faces.py", "demo/photos/holes.py"},
    {"demo/photos/paste.py"},
    {"studies", "demo", "train.py"},
    {"evaluate.py", "app.py"},
)
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
FILES = sorted(
    path
    for folder in ("sbcore", "studies", "demo")
    for path in (REPOSITORY / folder).rglob("*.py")
) + [REPOSITORY / name for name in ("train.py", "evaluate.py", "app.py")]  # fmt: skip


def room_of(place: str) -> str:
    """The room that a file or a dotted name belongs to: ``sbcore/twostage``, ``demo``, ..."""
    parts = place.removesuffix(".py").replace(".", "/").split("/")
    for depth in (3, 2, 1):
        named = "/".join(parts[:depth])
        for room in (named, f"{named}.py"):
            if room in HEIGHT:
                return room
    return "sbcore/__init__.py" if parts[0] == "sbcore" else ""


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at any depth; ``from a import b`` is ``a.b``."""
    package = ".".join(path.relative_to(REPOSITORY).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def calls(path: Path) -> Iterator[str]:
    """Names of the functions that a file calls, dotted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def in_room(*rooms: str) -> list[Path]:
    return [path for path in FILES if name(path).startswith(rooms)]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    own = room_of(name(path))
    assert own, f"{name(path)} is in no room of the house"
    for imported in imports(path):
        room = room_of(imported)
        if room and room != own:
            assert HEIGHT[room] < HEIGHT[own], f"{name(path)} imports {imported}"


@pytest.mark.parametrize("path", in_room("sbcore", "studies"), ids=name)
def test_engine_and_studies_know_nothing_of_the_page(path: Path) -> None:
    assert "gradio" not in {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", in_room("sbcore", "studies"), ids=name)
def test_engine_and_studies_never_print(path: Path) -> None:
    assert "print" not in set(calls(path))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_reads_or_writes_pickles(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & {"pickle", "joblib", "dill"}
    assert not {"torch.load", "torch.save"} & set(calls(path))


@pytest.mark.parametrize("path", in_room("demo", "app.py"), ids=name)
def test_the_page_talks_to_the_facades_only(path: Path) -> None:
    import sbcore

    used = set(imports(path))
    assert not {module.split(".")[0] for module in used} & {"torch", "torchvision"}
    public = {f"sbcore.{exported}" for exported in sbcore.__all__}
    assert {module for module in used if module.split(".")[0] == "sbcore"} <= public


def test_every_name_that_the_engine_exports_is_there() -> None:
    import sbcore

    assert [exported for exported in sbcore.__all__ if not hasattr(sbcore, exported)] == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("sbcore/twostage/bridge.py", "sbcore.ipf.bridge"),
        ("sbcore/runtime/run.py", "sbcore.networks.unet"),
        ("sbcore/networks/unet.py", "sbcore.twostage.process"),
        ("sbcore/plane/bridge.py", "studies.report"),
        ("studies/toy.py", "demo.media"),
        ("demo/photos/faces.py", "demo.photos.box"),
        ("sbcore/twostage/bridge.py", "sbcore.Bridge"),
    ],
)
def test_the_rule_refuses(importer: str, imported: str) -> None:
    own, other = room_of(importer), room_of(imported)
    assert own != other and HEIGHT[other] >= HEIGHT[own]
