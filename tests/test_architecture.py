"""Imports point one way: process, networks <- solvers, losses <- sampler, training <- bridge."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MODULES = sorted((REPOSITORY / "sbcore").glob("*.py"))
STUDIES = sorted((REPOSITORY / "sbcore" / "studies").glob("*.py"))
DEMO = sorted((REPOSITORY / "demo").rglob("*.py"))
# What a module of the engine may import of the engine; the paper's mathematics comes first.
ALLOWED = {
    "process": set(),
    "networks": set(),
    "data": set(),
    "masks": set(),
    "devices": set(),
    "arguments": set(),
    "metrics": set(),
    "solvers": {"networks", "process"},
    "losses": {"networks"},
    "sampler": {"networks", "process", "solvers"},
    "checkpoints": {"networks"},
    "halfbridges": {"metrics", "networks"},
    "translation": {"arguments", "checkpoints", "devices", "halfbridges", "sampler"},
    "training": {"checkpoints", "data", "devices", "losses", "masks", "networks", "process"},
    "bridge": {
        *("arguments", "checkpoints", "devices", "networks", "process", "sampler", "solvers"),
        "translation",
    },
    "ipf": {
        *("arguments", "bridge", "checkpoints", "devices", "halfbridges", "metrics"),
        *("training", "translation"),
    },
    "pairs": {"data", "ipf", "toy", "translation"},
    "toy": {
        *("arguments", "bridge", "losses", "metrics", "networks", "process", "sampler"),
        "solvers",
    },
    "__init__": {
        *("bridge", "checkpoints", "halfbridges", "ipf", "masks", "pairs", "sampler", "solvers"),
        *("toy", "translation"),
    },
}
UPWARDS = {"gradio", "demo", "app", "train", "evaluate", "tests"}


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


def engine_imports(path: Path) -> set[str]:
    """Modules of the engine that a file imports."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("sbcore.")}
    return names & {module.stem for module in MODULES} - {"__init__"}


def calls(path: Path) -> Iterator[str]:
    """Names of the functions that a file calls, dotted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_engine_imports_point_one_way(path: Path) -> None:
    if path.stem in ALLOWED:
        assert engine_imports(path) <= ALLOWED[path.stem]
    else:  # a newer module: it may use the facade or the trainer, which must not use it
        assert path.stem not in set().union(*ALLOWED.values())


def test_every_module_of_the_table_exists() -> None:
    assert set(ALLOWED) <= {path.stem for path in MODULES}


def test_no_import_cycle_in_the_engine() -> None:
    graph = {path.stem: engine_imports(path) for path in MODULES}
    while free := {module for module, uses in graph.items() if not uses & graph.keys()}:
        graph = {module: uses for module, uses in graph.items() if module not in free}
    assert graph == {}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_studies_are_built_on_the_engine(path: Path) -> None:
    assert not any(module.startswith("sbcore.studies") for module in imports(path))


@pytest.mark.parametrize("path", [*MODULES, *STUDIES], ids=name)
def test_engine_knows_nothing_of_what_is_built_on_it(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & UPWARDS


@pytest.mark.parametrize("path", [*MODULES, *STUDIES], ids=name)
def test_engine_never_prints(path: Path) -> None:
    assert "print" not in calls(path)


@pytest.mark.parametrize("path", [*MODULES, *STUDIES, *DEMO], ids=name)
def test_nothing_reads_or_writes_pickles(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & {"pickle", "joblib", "dill"}
    assert not {"torch.load", "torch.save"} & set(calls(path))


@pytest.mark.parametrize("path", DEMO, ids=name)
def test_demo_talks_to_the_facade_only(path: Path) -> None:
    import sbcore

    used = set(imports(path))
    assert not {module.split(".")[0] for module in used} & {"torch", "torchvision", "app", "train"}
    public = {f"sbcore.{exported}" for exported in sbcore.__all__}
    assert {module for module in used if module.split(".")[0] == "sbcore"} <= public
    assert not any(call.startswith("torch.") for call in calls(path))


@pytest.mark.parametrize("file", ["app.py"])
def test_app_knows_the_ui_only(file: str) -> None:
    path = REPOSITORY / file
    if not path.exists():
        pytest.skip(f"{file} is not written yet")
    assert not {module.split(".")[0] for module in imports(path)} & {"torch", "sbcore"}


def test_the_collector_sees_every_form_of_import(tmp_path: Path) -> None:
    source = """
import torch.nn as nn
from sbcore import bridge, Bridge
from sbcore.solvers import SOLVERS
def late():
    from . import models
    import gradio
"""
    path = REPOSITORY / "demo" / "not_there.py"

    class Fake(type(path)):  # a path whose text is given
        def read_text(self, encoding: str | None = None, **_: object) -> str:
            return source

    assert set(imports(Fake(path))) == {
        "torch.nn",
        "sbcore.bridge",
        "sbcore.Bridge",
        "sbcore.solvers.SOLVERS",
        "demo.models",
        "gradio",
    }
