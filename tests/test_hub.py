"""Models pushed to a stand-in for the Hub, and loaded back from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from sbcore import Bridge, CheckpointError, TranslationBridge, load
from sbcore.hub import main
from sbcore.ipf.network import save_translation
from tests.conftest import REPOSITORY, save_tiny
from tests.hub import TOKEN, Hub, hub
from tests.ipf.test_bridge import CONFIG, tiny_pair

LOADING = """
from sbcore import Bridge
for revision in (None, "v2"):
    print(Bridge.from_pretrained("someone/mine", "cpu", revision=revision).fingerprint)
"""
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub() as running:
        yield running


@pytest.fixture
def call(server: Hub, tmp_path: Path) -> Call:
    """Run Python as a user of the stand-in."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        options = {"cwd": REPOSITORY, "env": server.environment(tmp_path / "home")}
        return subprocess.run(command, **options, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with a card, a training state and a pickle."""
    folder = save_tiny(tmp_path / "mine")
    (folder / "README.md").write_text("# mine\n")
    (folder / "training").mkdir()
    (folder / "training" / "state.safetensors").write_bytes(b"state")
    (folder / "old.pt").write_bytes(b"pickle")
    return folder


@pytest.fixture
def here(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process takes the stand-in for the Hub."""
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return monkeypatch


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a refused push says, in one sentence."""
    capsys.readouterr()
    assert main(["push", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    text = said.err.strip()
    assert not said.out and "\n" not in text and text.endswith(".")
    return text


def test_what_is_pushed_loads_back_with_the_same_fingerprint(
    here, call: Call, server: Hub, model: Path
):
    assert main(["push", str(model), "someone/mine"]) == 0
    options = ["--private", "--revision", "v2", "--message", "second"]
    done = call("-m", "sbcore.hub", "push", model, "someone/mine", *options)
    assert done.stdout.startswith(f"{server.address}/someone/mine/commit/"), done.stderr
    branches = server.repositories["model", "someone/mine"]
    wanted = ["README.md", "config.json", "model.safetensors", "ratio.json", "ratio.safetensors"]
    assert sorted(branches["main"]) == sorted(branches["v2"]) == wanted
    assert server.created["someone/mine"]["visibility"] == "private"
    assert server.messages[-1] == "second"
    own = Bridge.from_pretrained(model, "cpu").fingerprint
    assert own in server.messages[0]
    done = call("-c", LOADING)
    assert done.stdout.split() == [own, own], done.stderr


def test_a_bridge_between_two_sets_goes_there_and_back(here, tmp_path: Path):
    folder = tmp_path / "pair"
    save_translation(folder, tiny_pair(), CONFIG)
    (folder / "README.md").write_text("# pair\n")
    assert main(["push", str(folder), "someone/pair"]) == 0
    found = TranslationBridge.from_pretrained("someone/pair", "cpu")
    assert found.fingerprint == TranslationBridge.from_pretrained(folder, "cpu").fingerprint
    assert load("someone/pair", "cpu", "main").fingerprint == found.fingerprint


def test_what_cannot_be_used_is_not_pushed(here, capsys, server: Hub, model: Path, tmp_path: Path):
    (model / "README.md").unlink()
    assert "has no model card" in refusal(capsys, model, "someone/broken")
    (model / "README.md").write_text("# mine\n")
    (model / "model.safetensors").write_bytes(b"no weights")
    assert "not a safetensors file" in refusal(capsys, model, "someone/broken")
    assert "no checkpoint folder" in refusal(capsys, tmp_path / "none", "someone/broken")
    assert ("model", "someone/broken") not in server.repositories


def test_why_nothing_was_pushed_is_one_sentence(here, capsys, model: Path):
    def why() -> str:
        return refusal(capsys, model, "someone/refused")

    here.setenv("HF_TOKEN", "hf_another")
    about = "someone/refused could not be uploaded:"
    assert why() == f"{about} the token does not allow it."
    here.setattr("sbcore.runtime.hub.get_token", lambda: None)
    assert why() == f"{about} there is no token: run hf auth login, or set HF_TOKEN."
    here.undo()
    here.setenv("HF_TOKEN", TOKEN)
    assert why() == f"{about} the Hub cannot be reached: HF_HUB_OFFLINE is set."
    here.setattr(constants, "HF_HUB_OFFLINE", False)
    here.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert why().startswith(f"{about} the Hub cannot be reached")
    assert "this is no repository id" in refusal(capsys, model, "bad name/x")


def test_why_nothing_was_loaded_is_one_sentence(here, server: Hub):
    def why(name: str, revision: str | None = None) -> str:
        with pytest.raises(CheckpointError) as error:
            load(name, "cpu", revision)
        return str(error.value).removeprefix(
            f"{name} is no local folder and could not be fetched from the Hub: "
        )

    server.repositories["model", "someone/there"] = {"main": {}}
    assert why("someone/none") == "there is no such repository, or it is closed to you."
    assert why("someone/there", "v9") == "the repository has no such revision."
    assert why("bad name/x") == "this is no repository id, which is owner/name."
    here.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert why("someone/there").startswith("the Hub cannot be reached")
    here.delenv("HF_TOKEN")
    here.setattr("sbcore.runtime.hub.get_token", lambda: None)
    here.setattr(constants, "ENDPOINT", server.address)
    assert "and there is no token" in why("someone/none")
