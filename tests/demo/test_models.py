"""Models found in a folder: good ones, broken ones, none."""

from __future__ import annotations

import shutil
import threading

import pytest

import sbcore
from demo.models import Models
from sbcore import CheckpointError
from tests.conftest import save_tiny


def assert_sentence(error):
    message = str(error.value)
    assert message.endswith(".") and "\n" not in message


def test_models_are_found_the_faces_first(tmp_path):
    for name in ("zebra", "celeba64", "apple"):
        save_tiny(tmp_path / name, ratio=False)
    (tmp_path / "notes").mkdir()  # no checkpoint
    models = Models(tmp_path, device="cpu")
    assert models.names == ["celeba64", "apple", "zebra"]


def test_named_models_come_before_those_of_the_folder(tmp_path):
    save_tiny(tmp_path / "checkpoints" / "tiny", ratio=False)
    own = save_tiny(tmp_path / "own", ratio=False)
    models = Models(tmp_path / "checkpoints", (f"{own}/", "owner/faces"), "cpu")
    assert models.names == ["own", "faces", "tiny"]
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


def test_unknown_model_is_named_and_the_known_ones_are_offered(tmp_path):
    save_tiny(tmp_path / "tiny", ratio=False)
    models = Models(tmp_path)
    for name in ("nope", "", "../tiny", str(tmp_path / "tiny")):
        with pytest.raises(CheckpointError, match=r"There is no model .*; choose tiny") as error:
            models.get(name)
        assert_sentence(error)


def test_an_empty_or_missing_folder_has_no_models(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        models = Models(folder)
        assert models.names == []
        for name in (None, "tiny"):
            with pytest.raises(CheckpointError, match="the checkpoints folder is empty") as error:
                models.get(name)
            assert_sentence(error)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def forget_weights(folder):
    (folder / "model.safetensors").unlink()


def foreign(folder):
    (folder / "config.json").write_text('{"architectures": ["UNet"]}')


def not_json(folder):
    (folder / "config.json").write_text("{")


def future(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 99'))


@pytest.mark.parametrize("damage", [truncate, forget_weights, foreign, not_json, future])
def test_a_broken_model_leaves_its_neighbour_usable(tmp_path, damage):
    good = save_tiny(tmp_path / "tiny", ratio=False)
    shutil.copytree(good, tmp_path / "broken")
    damage(tmp_path / "broken")
    models = Models(tmp_path, device="cpu")
    assert models.names == ["broken", "tiny"]
    for _ in range(2):  # and it stays refused
        with pytest.raises(CheckpointError) as error:
            models.get("broken")
        assert_sentence(error)
    assert models.get("tiny").generate(1, steps=2).result().shape == (1, 3, 16, 16)


def test_a_mended_model_loads(tmp_path):
    folder = save_tiny(tmp_path / "tiny", ratio=False)
    weights = (folder / "model.safetensors").read_bytes()
    truncate(folder)
    models = Models(tmp_path, device="cpu")
    with pytest.raises(CheckpointError):
        models.get()
    (folder / "model.safetensors").write_bytes(weights)
    assert models.get().name == "tiny"
