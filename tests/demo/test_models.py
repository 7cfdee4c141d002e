"""Models found in a folder: good ones, broken ones, none."""

from __future__ import annotations

import threading

import pytest

import sbcore
from demo.models import Models
from sbcore import CheckpointError
from tests.conftest import save_tiny
from tests.demo.studio import refused


def test_models_are_found_the_faces_first_and_named_ones_before(tmp_path):
    for name in ("zebra", "celeba64", "apple"):
        save_tiny(tmp_path / "found" / name, ratio=False)
    (tmp_path / "found" / "notes").mkdir()  # no checkpoint
    assert Models(tmp_path / "found").names == ["celeba64", "apple", "zebra"]
    own = save_tiny(tmp_path / "own", ratio=False)
    models = Models(tmp_path / "found", (f"{own}/", "owner/faces"), "cpu")
    assert models.names == ["own", "faces", "celeba64", "apple", "zebra"]
    assert models.get() is models.get("own")


def test_a_model_is_loaded_once_also_by_many_at_a_time(tmp_path, monkeypatch):
    save_tiny(tmp_path / "tiny", ratio=False)
    loaded, load = [], sbcore.load
    monkeypatch.setattr("demo.models.load", lambda *given: loaded.append(given) or load(*given))
    models, got = Models(tmp_path, device="cpu"), []
    assert not loaded  # only on first use
    threads = [threading.Thread(target=lambda: got.append(models.get("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1 and len(got) == 4 and len(set(map(id, got))) == 1
    assert got[0].device.type == "cpu"


@pytest.mark.parametrize("name", ["nope", "", "../tiny", "/etc"])
def test_unknown_model_is_named_and_the_known_ones_are_offered(tmp_path, name):
    save_tiny(tmp_path / "tiny", ratio=False)
    with refused(CheckpointError, r"There is no model .*; choose tiny"):
        Models(tmp_path).get(name)


@pytest.mark.parametrize("name", [None, "tiny"])
def test_an_empty_or_missing_folder_has_no_models(tmp_path, name):
    for folder in (tmp_path, tmp_path / "missing"):
        models = Models(folder)
        assert models.names == []
        with refused(CheckpointError, "the checkpoints folder is empty"):
            models.get(name)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"torn"),
        ("config.json", b"{"),
        ("config.json", b'{"architectures": ["UNet"]}'),
    ],
)
def test_a_broken_model_leaves_its_neighbour_usable_and_can_be_mended(tmp_path, file, content):
    save_tiny(tmp_path / "tiny", ratio=False)
    broken = save_tiny(tmp_path / "broken", ratio=False) / file
    good = broken.read_bytes()
    broken.write_bytes(content)
    models = Models(tmp_path, device="cpu")
    assert models.names == ["broken", "tiny"]
    for _ in range(2):  # and it stays refused
        with refused(CheckpointError, "The model broken cannot be used: ") as error:
            models.get("broken")
        assert str(tmp_path) not in str(error.value)
    assert models.get("tiny").generate(1, steps=2).result().shape == (1, 3, 16, 16)
    broken.write_bytes(good)
    assert models.get("broken").sigma == models.get("tiny").sigma
