"""What goes to a Space or into an image: just what the studio runs on, and it starts from that."""

from __future__ import annotations

import fnmatch
import re
import shutil

import httpx
import pytest
from huggingface_hub import constants

from demo import deploy
from tests.conftest import REPOSITORY
from tests.demo.test_app import started
from tests.hub import TOKEN, hub

FILES = deploy.needed(REPOSITORY)
DOCKER = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
COPIES = [line.split()[1:-1] for line in DOCKER.splitlines() if line.startswith("COPY ")]
COPIED = [source for sources in COPIES for source in sources]
IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_the_list_is_what_the_studio_runs_on(capsys):
    assert deploy.main(["someone/studio", "--dry-run"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    listed = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines}
    assert list(listed) == FILES and {"app.py", "README.md", "requirements.txt"} <= set(FILES)
    assert listed == {name: (REPOSITORY / name).stat().st_size for name in FILES}
    assert total.split() == [f"{sum(listed.values()):,}", "bytes", "in", str(len(FILES)), "files"]
    tops = {name.split("/")[0] for name in FILES}
    assert not tops & {"tests", "studies", "train.py", "evaluate.py", "node_modules"}
    models = {name.split("/")[1] for name in FILES if name.startswith("checkpoints/")}
    assert models == {"celeba64", "digits-letters"}
    assert not [name for name in FILES if name.endswith((".pyc", "history.json"))]
    assert sum(listed.values()) < 60e6


def test_what_is_deployed_starts_from_an_empty_folder_without_a_network(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    with started(tmp_path) as (address, _):
        text = httpx.get(address, timeout=30).text
        assert "celeba64" in text and "digits-letters" in text
        info = httpx.get(f"{address}gradio_api/info", timeout=30).json()
        assert "/generate" in info["named_endpoints"]


def test_an_upload_makes_the_space_hold_the_list_and_nothing_else(monkeypatch, capsys, tmp_path):
    small = tmp_path / "repository"
    for name in ("app.py", "demo/page.py", "checkpoints/one/config.json", "tests/test_app.py"):
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        (small / name).write_text(name)
    monkeypatch.setattr(deploy, "ROOT", small)
    with hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        server.repositories["space", "someone/studio"] = {"main": {"old.py": b"", "app.py": b""}}
        assert deploy.main(["someone/studio"]) == 0
        assert capsys.readouterr().out.startswith(server.address)
        held = server.repositories["space", "someone/studio"]["main"]
        assert server.created["someone/studio"]["sdk"] == "gradio"
    assert sorted(held) == ["app.py", "checkpoints/one/config.json", "demo/page.py"]
    assert held["demo/page.py"] == b"demo/page.py"
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert deploy.main(["someone/studio"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("someone/studio could not be uploaded: the Hub cannot be reached")


@pytest.mark.parametrize("source", COPIED)
def test_what_the_image_copies_is_there_and_let_in(source):
    assert (REPOSITORY / source).exists() and f"!{source}" in IGNORED


def test_the_image_holds_the_same_files_but_the_lock_for_the_requirements():
    sent = {line[1:] for line in IGNORED if line.startswith("!")}
    assert sent == set(COPIED) and IGNORED[1] == "*"
    kept = [line for line in IGNORED[2:] if not line.startswith("!")]

    def ignored(name: str) -> bool:
        places = [name.rsplit("/", depth)[0] for depth in range(name.count("/") + 1)]
        patterns = [re.sub(r"^\*\*/", "*", one) for one in kept]
        return any(fnmatch.fnmatch(place, one) for place in places for one in patterns)

    found = [path for top in COPIED for path in [REPOSITORY / top, *(REPOSITORY / top).rglob("*")]]
    names = {str(path.relative_to(REPOSITORY)) for path in found if path.is_file()}
    names = {name for name in names if not ignored(name)}
    assert names == set(FILES) - {"requirements.txt"} | {"requirements.lock"}


def test_the_image_runs_as_nobody_special_and_says_whether_it_is_well():
    assert re.search(r"^USER studio$", DOCKER, re.M) and "/healthz" in DOCKER
    assert "--require-hashes" in DOCKER
