"""The About tab: the places it names exist, the drawing is of real runs, the card the model's."""

from __future__ import annotations

import ast
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from demo.models import Models
from demo.tabs import about
from sbcore.ipf.network import NetworkConfig, Pair, save_translation
from tests.conftest import REPOSITORY, save_tiny

CARD = """---
license: other
---

# tiny

![pictures](sheet.png)

It costs $5 and not $6.
"""
PIECES = [piece for column in about.COLUMNS for piece in column.split("## ")[1:]]


@pytest.fixture
def folder(tmp_path):
    folder = save_tiny(tmp_path / "tiny", ratio=False)
    (folder / "README.md").write_text(CARD)
    Image.new("RGB", (32, 32), "teal").save(folder / "sheet.png")
    return folder


@pytest.fixture
def models(folder):
    return Models(folder.parent, device="cpu")


# ---- the method


def functions(file):
    """Functions of a file, those of classes with their class."""
    for node in ast.parse((REPOSITORY / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{n.name}" for n in node.body if hasattr(n, "name"))


def test_every_place_exists_and_every_piece_has_one():
    places = set(re.findall(r"`(\S+\.py): ([\w.]+)`", about.TEXT))
    assert not [(file, name) for file, name in places if name not in set(functions(file))]
    assert len(places) >= len(PIECES) > 10 and all("`" in piece for piece in PIECES)


def test_the_equations_and_algorithms_of_the_papers_are_there():
    for wanted in ("(3)", "(5)", "(7)", "(8)", "(9)", "Algorithm 1", "Algorithm 2", "W_s"):
        assert wanted in about.TEXT
    assert about.CITATIONS.count("@inproceedings{") == 3
    assert all(p in about.CITATIONS for p in ("2106.10410", "2106.01357", "2303.16852"))


def test_formulas_are_whole():
    for piece in PIECES:
        assert piece.count("$$") % 2 == 0 and piece.count("{") == piece.count("}"), piece
        assert piece.replace("$$", "").count("$") % 2 == 0, piece


# ---- the drawing


def test_the_particles_go_from_a_point_to_the_modes():
    places, states = about.particles()
    assert states.shape == (2 * about.STEPS + 1, about.PARTICLES) and states.dtype == np.float32
    assert (np.diff(places) > 0).all()
    assert (places[0], places[about.STEPS], places[-1]) == (about.START, about.MIDDLE, about.END)
    assert not states[0].any()
    modes = np.array([-5, -2.5, 2.5, 5])
    apart = abs(states[-1][:, None] - modes).min(1)
    assert np.quantile(apart, 0.99) < 0.5  # their width is 0.1
    assert abs(states[about.STEPS].std() - np.sqrt(12.5 + 0.01 + 1)) < 0.25  # q_sigma


def test_the_drawing_is_well_formed_and_inside():
    svg = ElementTree.fromstring(about.paths_svg())
    assert svg.get("role") == "img" and "56 particles" in svg.get("aria-label")
    paths = [path.get("d") for path in svg]
    assert len(paths) == 4 and paths[0].count("M") == paths[1].count("M") == about.PATHS
    for path in paths:
        x = [float(pair.split(",")[0]) for pair in re.findall(r"[\d.-]+,[\d.-]+", path)]
        assert min(x) >= about.START and max(x) <= 1000


def test_a_particle_of_the_model_is_shown_at_its_moments(bridge):
    tiles = about.states_html(bridge)
    assert tiles.count("<img") == tiles.count('alt="') == len(about.STATES)
    left = [10 * float(x) for x in re.findall(r"left:([\d.]+)%", tiles)]
    assert left == sorted(left)
    assert (left[0], left[2], left[-1]) == (about.START, about.MIDDLE, about.END)


# ---- the card, the licence


def test_the_tab_is_filled_with_the_card_without_its_front_matter(models):
    drawing, card, sheet, licence, status = about.examples(models, "tiny")
    assert "<svg" in drawing and drawing.count("<img") == len(about.STATES)
    assert card.startswith("# tiny") and "license: other" not in card and "sheet.png" not in card
    assert sheet.size == (32, 32) and "tiny" in licence
    assert "evaluations" in status and "tiny" in status


@pytest.mark.parametrize(
    "reference", ["../secret.png", "/etc/hostname", "https://a.example/b.png", "gone.png", ".."]
)
def test_only_a_picture_beside_the_card_is_opened(models, folder, reference):
    Image.new("RGB", (9, 9)).save(folder.parent / "secret.png")
    (folder / "README.md").write_text(f"# tiny\n\n![pictures]({reference})\n")
    assert about.card(models, "tiny")[1] is None


def test_cards_that_are_missing_or_elsewhere_or_broken(models, folder):
    (folder / "sheet.png").write_text("I am no picture")
    text, sheet = about.card(models, "tiny")
    assert text.startswith("# tiny") and sheet is None
    (folder / "README.md").write_bytes(b"\xff\xfe" * about.MAX_CARD)
    text, sheet = about.card(models, "tiny")
    assert len(text) <= about.MAX_CARD and sheet is None
    (folder / "README.md").unlink()
    assert about.card(models, "tiny") == ("This model comes without a card.", None)
    text, sheet = about.card(Models(folder, ("someone/faces",)), "faces")
    assert "https://huggingface.co/someone/faces" in text and sheet is None


def test_the_licence_is_that_of_the_checkpoint(bridge, monkeypatch):
    assert "not stated" in about.licences(bridge)
    monkeypatch.setitem(bridge.facts, "data", {"license": "for play only"})
    assert "for play only" in about.licences(bridge) and "Apache-2.0" in about.licences(bridge)


def test_models_that_translate_have_licences_too_and_broken_ones_are_left_out(folder):
    there = folder.parent
    pair = Pair(NetworkConfig((1, 16, 16), patch=2, channels=(8, 8), blocks=(1, 1)))
    config = {"sets": ["a", "b"], "method": "dsbm", "sigma": 1.0, "steps": 4, "contrast": 1.0}
    facts = {"name": "pair", "data": {"license": "for research"}}
    save_translation(there / "pair", pair, config | facts)
    (there / "torn").mkdir()
    (there / "torn" / "config.json").write_text('{"kind": "dsb"}')
    *_, licence, _ = about.examples(Models(there, device="cpu"), "tiny")
    assert "**Weights of pair**: for research." in licence and "torn" not in licence
