"""The command line: an option for each parameter, folders as batches, exit codes, examples."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import cli
from demo.params import Model
from sbcore.ipf.network import save_translation
from tests.conftest import REPOSITORY, save_tiny
from tests.demo.studio import CONTRACT, pixels, recipe
from tests.ipf.test_bridge import CONFIG, tiny_pair

SIZE = 16


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """A model that draws and one that translates."""
    folder = tmp_path_factory.mktemp("offered")
    save_tiny(folder / "tiny")
    save_translation(folder / "pair", tiny_pair(), CONFIG | {"name": "pair"})
    return folder


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8))


def mask() -> Image.Image:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[4:10, 5:12] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def run(offered, tmp_path, monkeypatch, capsys):
    """Do a command line in an empty folder: exit code, reports, and what stderr says."""
    monkeypatch.chdir(tmp_path)

    def done(line: str):
        words = shlex.split(line)
        asks = [*words, "--checkpoints", str(offered)] if words[0] != "toy" else words
        capsys.readouterr()
        try:
            code = cli.main(asks)
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return done


def sentence(said: str) -> str:
    """What is refused is one sentence, without a bar, a usage or a traceback before it."""
    text = said.strip()
    assert "\n" not in text and text[0].isupper() and text.endswith("."), said
    return text


def test_the_commands_are_the_endpoints():
    assert {f"/{name}" for name in cli.OPERATIONS} == CONTRACT.keys()


@pytest.mark.parametrize("name", cli.OPERATIONS)
def test_every_parameter_is_an_option_with_its_words(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.parse_arguments([name, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0 and cli.OPERATIONS[name].command() in text
    for param in cli.OPERATIONS[name].params:
        assert f"--{param.name.replace('_', '-')} " in text
        if not isinstance(param, Model):
            assert " ".join(param.kind().split()) in text.replace("- ", "-")
    options = text.split(" options: ")[1].split(" example: ")[0]
    listed = 1 + len(cli.OPERATIONS[name].params) + 2 * (name != "toy")
    assert options.count("(default: ") + options.count("(required)") == listed


@pytest.mark.parametrize("name", cli.OPERATIONS)
def test_the_example_of_its_help_runs(name, run, tmp_path):
    for param, value in cli.OPERATIONS[name].example.items():
        if str(value).endswith(".png"):
            (mask() if param == "mask" else picture(1)).save(value)
    _, _, line = cli.OPERATIONS[name].command().partition("-m demo ")
    code, (report,), said = run(line)
    assert code == 0 and report["seed"] == 17 and "100%" in said
    assert report == json.loads(Path("results/report.json").read_text())
    assert report["files"] and all(Path(file).stat().st_size > 100 for file in report["files"])
    drawn = [file for file in report["files"] if file.endswith(".png")]
    assert not drawn or recipe(drawn[0])["operation"] == name


def test_a_seed_draws_the_same_as_over_http(run, client):
    _, (report,), _ = run("generate --count 2 --steps 4 --solver ddim --seed 3 --out faces")
    given = {"count": 2, "steps": 4, "solver": "ddim", "seed": 3}
    there, _ = client.predict(**given, api_name="/generate")
    for here, other in zip(report["files"], there, strict=True):
        assert np.array_equal(pixels(here), pixels(other))


def test_folders_are_batches_and_one_bad_picture_stops_no_other(run, tmp_path):
    for name in ("a", "b", "c"):
        for folder, content in (("photos", picture(ord(name))), ("masks", mask())):
            (tmp_path / folder).mkdir(exist_ok=True)
            content.save(tmp_path / folder / f"{name}.png")
    (tmp_path / "photos" / "b.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "._a.png").write_bytes(b"of another system")
    (tmp_path / "photos" / "notes.txt").write_text("none either")
    code, reports, said = run("inpaint --image photos --mask masks --count 1 --out filled")
    assert code == 2 and "Picture b: image: This cannot be read as a picture" in said
    assert [report["files"] for report in reports] == [["filled/a/00.png"], ["filled/c/00.png"]]
    known = np.asarray(mask()) == 0
    for name in ("a", "c"):
        before, after = (pixels(f"{one}.png") for one in (f"photos/{name}", f"filled/{name}/00"))
        assert np.array_equal(before[known], after[known]) and not np.array_equal(before, after)
    picture(2).save("photos/b.png")
    mask().save("mask.png")
    code, reports, _ = run("inpaint --image photos --mask mask.png --count 1 --out again")
    assert code == 0 and len(reports) == 3
    (tmp_path / "masks" / "c.png").unlink()
    code, reports, said = run("inpaint --image photos --mask masks --out third")
    assert code == 2 and sentence(said) == "The folder masks holds no c, but photos does."
    assert not reports and not list(Path("third").iterdir())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("generate --count 99 --out x", "The number of pictures must be a whole number from 1"),
        ("generate --count many --out x", "The number of pictures must be a whole number"),
        ("generate --solver magic --out x", "The solver must be one of"),
        ("generate --model magic --out x", "The model magic cannot be used"),
        ("generate --model pair --out x", "The model pair only translates between two sets"),
        ("generate --device abacus --out x", "The device abacus cannot be used here: take cpu"),
        ("denoise --image none.png --out x", "There is no file none.png."),
        ("denoise --image . --out x", "The folder . holds no pictures."),
        ("denoise --out x", "The following arguments are required: --image. See"),
        ("generate", "The following arguments are required: --out. See"),
        ("generate --out taken", "Nothing can be written to taken: File exists."),
        ("generate --wide --out x", "Unrecognized arguments: --wide. See"),
        ("magic --out x", "invalid choice: 'magic'"),
    ],
)
def test_what_is_refused_is_one_sentence(line, words, run, tmp_path):
    (tmp_path / "taken").write_text("a file")
    code, reports, said = run(line)
    assert code == 2 and not reports and words in sentence(said)


def test_a_model_is_named_or_a_folder_of_its_own(run, offered):
    for model in ("tiny", offered / "tiny", f"{offered / 'tiny'}/"):
        code, (report,), _ = run(f"generate --steps 2 --model {model} --out x")
        assert code == 0 and report["model"] == "tiny"


def test_ctrl_c_keeps_what_is_done(tmp_path, offered):
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(60):
        picture(k).save(photos / f"{k:02d}.png")
    options = ["--image", photos, "--steps", "60", "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "demo", "denoise", *options, "--checkpoints", offered]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        list(map(str, command)), cwd=REPOSITORY, env=environment, **pipes
    ) as process:
        assert process.stdout is not None and process.stdout.readline()  # the first is done
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    done = 1 + len(out.splitlines())
    assert process.returncode == 130 and done < 60 and "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.endswith(f"Stopped; {done} of 60 are done, and in {tmp_path / 'out'}.")
    assert len(list((tmp_path / "out").glob("*/report.json"))) == done
