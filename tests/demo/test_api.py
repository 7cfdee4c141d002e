"""The HTTP API, through gradio_client, on a real server with the tiny model."""

from __future__ import annotations

import base64
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import imageio.v2 as imageio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import EpsImagePlugin, Image, PsdImagePlugin, TiffImagePlugin

from demo.page import DATA_ADDRESS, NO_UPLOAD
from tests.conftest import TINY, save_tiny
from tests.demo.studio import EPS, PSD, file_of, pixels, recipe, serving

SIZE = TINY.image_size
REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds"}
CONTRACT = {
    "/generate": {
        "count": 1, "seed": 0, "steps": None, "solver": None, "mode": "fast", "model": None,
        "start": "closed form",
    },
    "/evolve": {"seed": 0, "frames": 24, "mode": "fast", "model": None},
    "/interpolate": {
        "image_a": ..., "image_b": ..., "frames": 9, "variance": 0.4, "seed": 0, "model": None
    },
    "/inpaint": {
        "image": ..., "mask": ..., "count": 3, "seed": 0, "method": "conditional", "model": None
    },
    "/denoise": {"image": ..., "variance": 1.0, "count": 4, "seed": 0, "model": None},
    "/translate": {"image": ..., "direction": "forward", "count": 1, "seed": 0, "model": None},
    "/toy": {
        "dataset": "six-gaussians", "particles": 2000, "sigma": 1.0, "tau": 5.0, "steps": 20,
        "seed": 0, "networks": "exact", "mode": "fast", "solver": None, "drift": "exact", "n3": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny")
    save_tiny(folder / "zbroken")
    (folder / "zbroken" / "model.safetensors").write_bytes(b"not weights")
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(studio: tuple[str, Any]) -> Client:
    return Client(studio[0], verbose=False)


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> str:
    generator = np.random.default_rng(0)
    array = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return file_of(tmp_path_factory.mktemp("faces"), "face.png", Image.fromarray(array))


@pytest.fixture(scope="module")
def hole(tmp_path_factory: pytest.TempPathFactory) -> str:
    array = np.zeros((SIZE, SIZE), np.uint8)
    array[4:10, 5:12] = 255
    return file_of(tmp_path_factory.mktemp("masks"), "hole.png", Image.fromarray(array))


@pytest.fixture(autouse=True)
def no_traceback(capfd: pytest.CaptureFixture[str], caplog: Any) -> Iterator[None]:
    """Whatever a test sends, the server runs in this process and must not stumble."""
    yield
    assert "Traceback" not in capfd.readouterr().err
    assert not [record for record in caplog.records if record.name.startswith("demo")]


def sentence(call: Callable[[], Any]) -> str:
    """The message of a refused call: one sentence, no traceback."""
    with pytest.raises(AppError) as caught:
        call()
    text = str(caught.value)
    assert "Traceback" not in text and "\n" not in text.strip()
    assert text[0].isupper() and text.rstrip().endswith((".", "!")), text
    return text


def test_names_parameters_and_defaults_are_the_contract(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert not api["unnamed_endpoints"]
    endpoints = api["named_endpoints"]
    found = {
        name: {
            p["parameter_name"]: p["parameter_default"] if p["parameter_has_default"] else ...
            for p in endpoint["parameters"]
        }
        for name, endpoint in endpoints.items()
    }
    assert found == CONTRACT


def test_generate_by_default(client: Client) -> None:
    files, report = client.predict(api_name="/generate")
    assert len(files) == 1 and pixels(files[0]).shape == (SIZE, SIZE, 3)
    assert report.keys() == REPORT
    assert report["model"] == "tiny" and report["seed"] == 0 and report["mode"] == "fast"
    assert report["nfe"] == report["steps"] > 0
    assert recipe(files[0]) == report | {"picture": 0}


def test_generate_with_options(client: Client) -> None:
    files, report = client.predict(
        count=3, seed=5, steps=4, solver="ddim", model="tiny", api_name="/generate"
    )
    assert len(files) == 3
    assert (report["seed"], report["steps"], report["solver"]) == (5, 4, "ddim")


def test_generate_from_every_start(client: Client) -> None:
    starts = ("closed form", "network", "noise")
    drawn = [client.predict(steps=4, start=start, api_name="/generate") for start in starts]
    pictures = [pixels(files[0]) for files, _ in drawn]
    assert all(report["nfe"] == 4 for _, report in drawn)
    assert not any(np.array_equal(pictures[i], pictures[i - 1]) for i in range(3))
    by_default, _ = client.predict(steps=4, api_name="/generate")
    assert np.array_equal(pixels(by_default[0]), pictures[0])


def test_paper_mode(client: Client) -> None:
    _, report = client.predict(mode="paper", steps=3, api_name="/generate")
    assert report["mode"] == "paper" and report["steps"] == 6
    assert report["nfe"] == 3 * 3 + 3 + 1  # score and twice the ratio; stage 2; last Tweedie


def test_a_seed_is_the_same_picture_alone_and_among_sixteen(client: Client) -> None:
    many, _ = client.predict(count=16, seed=3, api_name="/generate")
    for index in (0, 7, 15):
        one, _ = client.predict(count=1, seed=3 + index, api_name="/generate")
        assert np.array_equal(pixels(one[0]), pixels(many[index]))
    assert not np.array_equal(pixels(many[0]), pixels(many[1]))


def test_evolve_by_default(client: Client) -> None:
    film, strip, report = client.predict(api_name="/evolve")
    assert len(imageio.mimread(film)) >= 24 and report["seed"] == 0
    assert recipe(strip) == report


def test_evolve(client: Client) -> None:
    film, strip, report = client.predict(seed=2, frames=8, api_name="/evolve")
    assert Path(film).suffix == ".mp4" and len(imageio.mimread(film)) >= 8
    assert strip.endswith(".png") and pixels(strip).shape[1] > 8 * 96
    assert report.keys() == REPORT and report["seed"] == 2


def test_interpolate_by_default(client: Client, face: str) -> None:
    files, film, report = client.predict(
        image_a=handle_file(face), image_b=handle_file(face), api_name="/interpolate"
    )
    assert len(files) == 9 and Path(film).suffix == ".mp4"
    assert len(imageio.mimread(film)) >= 2 * 9 - 1  # there and back
    assert report.keys() == REPORT
    for index, path in enumerate(files):
        assert pixels(path).shape == (SIZE, SIZE, 3)
        assert recipe(path) == report | {"picture": index}


def test_interpolate_with_options(client: Client, face: str) -> None:
    options = {"frames": 5, "variance": 1.5, "seed": 3, "model": "tiny"}
    pair = handle_file(face), handle_file(face)
    files, _, report = client.predict(*pair, **options, api_name="/interpolate")
    again, _, _ = client.predict(*pair, **options, api_name="/interpolate")
    other, _, _ = client.predict(*pair, **options | {"seed": 4}, api_name="/interpolate")
    assert len(files) == 5 and report["seed"] == 3
    assert all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(files, again, strict=True))
    assert not np.array_equal(pixels(files[2]), pixels(other[2]))


def test_inpaint_by_default(client: Client, face: str, hole: str) -> None:
    files, report = client.predict(handle_file(face), handle_file(hole), api_name="/inpaint")
    assert len(files) == 3 and report["mode"] == "conditional"
    for index, path in enumerate(files):
        assert pixels(path).shape == (SIZE, SIZE, 3)
        assert recipe(path) == report | {"picture": index}


def test_a_picture_of_another_size_is_cut_to_that_of_the_model(
    client: Client, hole: str, tmp_path: Path
) -> None:
    photo = Image.new("RGB", (4 * SIZE, 6 * SIZE), (40, 90, 160))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    path = file_of(tmp_path, "photo.jpg", photo, exif=exif)
    files, _ = client.predict(handle_file(path), handle_file(hole), 1, api_name="/inpaint")
    shown = pixels(files[0])
    assert shown.shape == (SIZE, SIZE, 3)
    assert abs(shown[0, 0].astype(int) - (40, 90, 160)).max() < 4


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
def test_inpaint_keeps_known_pixels_bit_for_bit(
    client: Client, face: str, hole: str, method: str
) -> None:
    files, report = client.predict(
        image=handle_file(face), mask=handle_file(hole), count=2, method=method,
        api_name="/inpaint",
    )  # fmt: skip
    assert len(files) == 2 and report.keys() == REPORT
    known = pixels(hole) < 128
    for path in files:
        assert np.array_equal(pixels(path)[known], pixels(face)[known])
        assert not np.array_equal(pixels(path)[~known], pixels(face)[~known])
    assert not np.array_equal(pixels(files[0]), pixels(files[1]))


def test_denoise_by_default(client: Client, face: str) -> None:
    noisy, files, report = client.predict(handle_file(face), api_name="/denoise")
    assert len(files) == 4 and report.keys() == REPORT and report["seed"] == 0
    assert recipe(noisy) == report
    assert not np.array_equal(pixels(noisy), pixels(face))
    for index, path in enumerate([noisy, *files]):
        assert path.endswith(".png") and pixels(path).shape == (SIZE, SIZE, 3)
        assert index == 0 or recipe(path) == report | {"picture": index - 1}
    assert not np.array_equal(pixels(files[0]), pixels(files[1]))


def test_denoise_with_options(client: Client, face: str) -> None:
    options = {"variance": 0.5, "count": 2, "seed": 3, "model": "tiny"}
    first, again, other = (
        client.predict(handle_file(face), **options | change, api_name="/denoise")
        for change in ({}, {}, {"seed": 4})
    )
    assert len(first[1]) == 2 and first[2]["seed"] == 3
    assert np.array_equal(pixels(first[0]), pixels(again[0]))
    for one, same in zip(first[1], again[1], strict=True):
        assert np.array_equal(pixels(one), pixels(same))
    assert not np.array_equal(pixels(first[0]), pixels(other[0]))


def test_with_hardly_any_noise_denoise_gives_the_picture_back(
    client: Client, tmp_path: Path
) -> None:
    ramp = np.linspace(60, 190, SIZE * SIZE * 3).astype(np.uint8).reshape(SIZE, SIZE, 3)
    path = file_of(tmp_path, "ramp.png", Image.fromarray(ramp))
    noisy, files, _ = client.predict(handle_file(path), 1e-6, 1, api_name="/denoise")
    for path in (noisy, *files):
        assert abs(pixels(path).astype(int) - ramp).mean() < 2


def test_toy_by_default(client: Client) -> None:
    strip, report = client.predict(api_name="/toy")
    assert strip.endswith(".png") and pixels(strip).shape[1] > 9 * 144
    assert report.keys() >= REPORT | {"sigma", "tau", "particles"} and recipe(strip) == report
    assert (report["model"], report["nfe"], report["particles"]) == ("six-gaussians", 20, 2000)
    assert 0 < report["sliced_w2"] < 1.5 * report["floor"]
    assert len(report["mode_mass"]) == 6


def test_toy_with_options(client: Client) -> None:
    options = {"dataset": "moons", "particles": 300, "sigma": 0.5, "tau": 2, "steps": 8, "seed": 3}
    first, again, other = (
        client.predict(**options | change, api_name="/toy")
        for change in ({}, {}, {"solver": "ddim"})
    )
    assert np.array_equal(pixels(first[0]), pixels(again[0]))
    assert not np.array_equal(pixels(first[0]), pixels(other[0]))
    assert (first[1]["sigma"], first[1]["tau"], first[1]["seed"]) == (0.5, 2, 3)
    assert other[1]["solver"] == "ddim" and "mode_mass" not in other[1]


def test_toy_in_paper_mode(client: Client) -> None:
    options = {"mode": "paper", "steps": 10, "drift": "self-normalised", "n3": 3, "particles": 50}
    _, report = client.predict(**options, api_name="/toy")
    assert report["steps"] == 20 and report["drift"] == "self-normalised"
    assert report["nfe"] == 10 * 6 + 10 + 1  # score and ratio; stage 2; last Tweedie


def test_toy_with_learned_networks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.tabs.lab.TRAINING_SECONDS", 0.5)
    _, report = client.predict(networks="learned", particles=50, steps=4, api_name="/toy")
    assert report["networks"] == "learned" and report["nfe"] == 4


# ----------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"count": 0}, "number of pictures"),
        ({"count": 17}, "number of pictures"),
        ({"count": 1.5}, "number of pictures"),
        ({"seed": -1}, "seed"),
        ({"seed": 1e300}, "seed"),
        ({"seed": None}, "seed"),
        ({"seed": "many"}, "seed"),
        ({"count": 10**400}, "number of pictures"),
        ({"steps": -3}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"solver": "magic"}, "solver"),
        ({"mode": "warp"}, "mode"),
        ({"mode": None}, "mode"),
        ({"start": "nowhere"}, "start"),
        ({"start": "noise", "mode": "paper"}, "paper mode has a stage 1 of its own"),
        ({"model": "nobody"}, "nobody"),
        ({"model": "zbroken"}, "safetensors"),
        ({"model": "../../etc"}, "no model"),
    ],
)
def test_generate_refuses_with_a_sentence(client: Client, options: dict, wanted: str) -> None:
    text = sentence(lambda: client.predict(**options, api_name="/generate"))
    assert wanted in text.lower() and "/tmp" not in text


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"dataset": "seven"}, "six-gaussians, moons"),
        ({"dataset": "drawn"}, "drawing is empty"),
        ({"particles": 1}, "number of particles"),
        ({"particles": 1e9}, "number of particles"),
        ({"sigma": 0}, "sigma"),
        ({"sigma": None}, "sigma"),
        ({"tau": -1}, "tau"),
        ({"tau": 1e300}, "tau"),
        ({"steps": 1}, "number of evaluations"),
        ({"mode": "paper", "steps": 0}, "number of evaluations"),
        ({"seed": -1}, "seed"),
        ({"networks": "neural"}, "networks must be one of exact, learned"),
        ({"solver": "magic"}, "solver"),
        ({"mode": "warp"}, "mode"),
        ({"drift": "snow"}, "drift"),
        ({"n3": 0}, "n3"),
        ({"mode": "paper", "steps": 30, "drift": "ratio"}, "diverged"),
    ],
)
def test_toy_refuses_with_a_sentence(client: Client, options: dict, wanted: str) -> None:
    assert wanted in sentence(lambda: client.predict(**options, api_name="/toy")).lower()


@pytest.mark.parametrize("frames", [3, 1e9])
def test_evolve_refuses_bad_frames(client: Client, frames: float) -> None:
    assert "frames" in sentence(lambda: client.predict(frames=frames, api_name="/evolve"))


@pytest.mark.parametrize("variance", [0, -1, 5, None, "much"])
def test_interpolate_refuses_bad_variances(client: Client, face: str, variance: float) -> None:
    text = sentence(
        lambda: client.predict(
            handle_file(face), handle_file(face), variance=variance, api_name="/interpolate"
        )
    )
    assert "variance" in text


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"count": 0}, "number of fills"),
        ({"count": 1e9}, "number of fills"),
        ({"seed": -1}, "seed"),
        ({"method": "magic"}, "conditional"),
        ({"model": "nobody"}, "nobody"),
    ],
)
def test_inpaint_refuses_with_a_sentence(
    client: Client, face: str, hole: str, options: dict, wanted: str
) -> None:
    pair = handle_file(face), handle_file(hole)
    assert wanted in sentence(lambda: client.predict(*pair, **options, api_name="/inpaint"))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"count": 0}, "number of restorations"),
        ({"count": 10}, "number of restorations"),
        ({"seed": -1}, "seed"),
        ({"variance": 0}, "noise variance"),
        ({"variance": 4.1}, "noise variance"),
        ({"variance": None}, "noise variance"),
        ({"variance": "much"}, "variance"),
        ({"model": "nobody"}, "nobody"),
    ],
)
def test_denoise_refuses_with_a_sentence(
    client: Client, face: str, options: dict, wanted: str
) -> None:
    text = sentence(lambda: client.predict(handle_file(face), **options, api_name="/denoise"))
    assert wanted in text


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"many"', "[]", "1e999", "true"])
def test_values_that_are_no_numbers_leave_the_server_serving(
    studio: tuple[str, Any], client: Client, value: str
) -> None:
    address = f"{studio[0]}gradio_api/call/generate"
    body = f'{{"data": [{value}, 0, null, null, "fast", null, "closed form"]}}'
    answer = httpx.post(
        address, content=body, headers={"content-type": "application/json"}, timeout=30
    )
    text = answer.text
    if answer.status_code == 200:
        text = httpx.get(f"{address}/{answer.json()['event_id']}", timeout=30).text
        assert "event: error" in text
    assert "Traceback" not in text
    assert client.predict(steps=1, api_name="/generate")[0]


def bad_file(kind: str, folder: Path) -> str:
    path = folder / f"{kind}.png"
    if kind == "text":
        path.write_text("I am no picture")
    elif kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "bomb":
        Image.new("1", (14000, 12000)).save(path)
    elif kind == "dot":
        Image.new("RGB", (1, 1)).save(path)
    return str(path)


@pytest.mark.parametrize("kind", ["text", "truncated", "bomb", "dot"])
def test_pictures_that_are_none(
    client: Client, face: str, hole: str, tmp_path: Path, kind: str
) -> None:
    bad = handle_file(bad_file(kind, tmp_path))
    sentence(lambda: client.predict(bad, handle_file(hole), api_name="/inpaint"))
    sentence(lambda: client.predict(handle_file(face), bad, api_name="/inpaint"))
    sentence(lambda: client.predict(handle_file(face), bad, api_name="/interpolate"))
    sentence(lambda: client.predict(bad, api_name="/denoise"))
    files, _ = client.predict(api_name="/generate")
    assert files  # the server goes on


def test_of_an_animation_the_first_frame_counts(client: Client, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("red", "blue")]
    path = file_of(tmp_path, "film.gif", frames[0], save_all=True, append_images=frames[1:])
    files, _, _ = client.predict(
        handle_file(path), handle_file(path), variance=0.001, frames=2, api_name="/interpolate"
    )
    red, _, blue = pixels(files[0]).reshape(-1, 3).mean(0)
    assert red > blue


def test_masks(client: Client, face: str, tmp_path: Path) -> None:
    def fill(mask: Image.Image) -> Any:
        path = file_of(tmp_path, "mask.png", mask)
        return client.predict(handle_file(face), handle_file(path), 1, api_name="/inpaint")

    assert "marked" in sentence(lambda: fill(Image.new("L", (SIZE, SIZE), 0)))
    assert "too small" in sentence(lambda: fill(Image.new("L", (1, 1), 255)))
    assert "mask" in sentence(lambda: fill(Image.new("L", (2 * SIZE, SIZE), 255))).lower()
    files, _ = fill(Image.new("L", (SIZE, SIZE), 255))  # all of it: a picture from nothing
    assert len(files) == 1
    files, _ = fill(Image.new("L", (4 * SIZE, 4 * SIZE), 255))  # larger, of the same shape
    assert len(files) == 1


def test_a_missing_picture_is_a_sentence(client: Client, hole: str) -> None:
    calls = {
        "Image": lambda: client.predict(None, handle_file(hole), api_name="/inpaint"),
        "Mask": lambda: client.predict(handle_file(hole), None, api_name="/inpaint"),
        "Image: Please": lambda: client.predict(None, api_name="/denoise"),
        "Picture A": lambda: client.predict(None, None, api_name="/interpolate"),
        "Picture B": lambda: client.predict(handle_file(hole), None, api_name="/interpolate"),
    }
    for name, call in calls.items():
        assert sentence(call).startswith(name)


def test_files_of_the_server_cannot_be_asked_for(
    studio: tuple[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    secret = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    data = {"data": [secret, secret, 1, 0, "conditional", None]}
    answer = httpx.post(f"{studio[0]}gradio_api/call/inpaint", json=data, timeout=30)
    if answer.status_code == 200:
        event = answer.json()["event_id"]
        stream = httpx.get(f"{studio[0]}gradio_api/call/inpaint/{event}", timeout=30).text
        assert "event: error" in stream and "root:" not in stream
    capfd.readouterr()  # an attack may leave Gradio's traceback in the log


# ----------------------------------------------------------------------------------------------
# Decoders that the studio does without, data addresses, ways past the queue

META = {"meta": {"_type": "gradio.FileData"}}
DOORS = [(e, name) for e, given in CONTRACT.items() for name, v in given.items() if v is ...]
PLACES = ["background", "layers", "composite"]  # in the editor
DECODERS = {
    "EPS": EpsImagePlugin.EpsImageFile,
    "PSD": PsdImagePlugin.PsdImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}


def foreign(kind: str) -> bytes:
    """A picture of another kind, which Pillow as it comes does open."""
    tiff = io.BytesIO()
    Image.new("RGB", (16, 16)).save(tiff, "TIFF")
    content = {"EPS": EPS, "PSD": PSD, "TIFF": tiff.getvalue()}[kind]
    DECODERS[kind](io.BytesIO(content))
    return content


def data_address(content: bytes, kind: str) -> dict[str, Any]:
    """A picture that comes in its own address."""
    return {"path": None, "url": f"data:{kind};base64,{base64.b64encode(content).decode()}", **META}


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ghostscript that only leaves a note of having been started: the note."""
    note, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{note}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with suppress(OSError):
        EpsImagePlugin.EpsImageFile(io.BytesIO(EPS)).load()
    note.unlink()  # so it works
    return note


def through(door: tuple[str, str], client: Client, face: str, picture: Any) -> Any:
    """Call the endpoint of a door with this picture there, and a good one at its others."""
    endpoint, parameter = door
    good = {name: handle_file(face) for e, name in DOORS if e == endpoint}
    return client.predict(**good | {parameter: picture}, api_name=endpoint)


@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_a_data_address_is_refused(
    client: Client, face: str, ghostscript: Path, door: tuple[str, str]
) -> None:
    for picture in (
        data_address(EPS, "application/postscript"),
        data_address(foreign("TIFF"), "image/png"),
        data_address(Path(face).read_bytes(), "image/png"),
    ):
        text = sentence(lambda picture=picture: through(door, client, face, picture))
        assert text == DATA_ADDRESS
    assert not ghostscript.exists()
    assert client.predict(handle_file(face), count=1, api_name="/denoise")[1]


@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_a_picture_of_the_server_is_not_read_for_a_bare_path(
    client: Client, tmp_path: Path, face: str, door: tuple[str, str]
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(Path(face).read_bytes())
    for picture in ({"path": str(secret)}, {"path": str(secret), "meta": {}}):
        assert sentence(lambda picture=picture: through(door, client, face, picture)) == NO_UPLOAD


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_another_kind_of_file_is_refused_whatever_its_name(
    client: Client, face: str, ghostscript: Path, tmp_path: Path, door: tuple[str, str], kind: str
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(foreign(kind))
    text = sentence(lambda: through(door, client, face, handle_file(path)))
    assert "cannot be read" in text or door[0] == "/translate"  # which has no model here
    assert not ghostscript.exists()


def fill(studio: tuple[str, Any], client: Client, drawing: Any, session: str) -> str:
    """Run the Inpaint tab with this in its editor, as a browser does: the last message."""
    api, config = f"{studio[0]}gradio_api", client.config
    (editor,) = (c["id"] for c in config["components"] if c["type"] == "imageeditor")
    (run,) = (d for d in config["dependencies"] if editor in d["inputs"] and d["queue"])
    values = {c["id"]: c["props"].get("value") for c in config["components"]} | {editor: drawing}
    body = {"data": [values[i] for i in run["inputs"]], "fn_index": run["id"]}
    httpx.post(f"{api}/queue/join", json=body | {"session_hash": session}).raise_for_status()
    with httpx.stream("GET", f"{api}/queue/data?session_hash={session}", timeout=30) as answer:
        return next(line for line in answer.iter_lines() if "process_completed" in line)


def layered(place: str, picture: Any) -> dict[str, Any]:
    """An editor with one picture in it."""
    empty = {"background": None, "layers": [], "composite": None}
    return empty | {place: [picture] if place == "layers" else picture}


def uploaded(studio: tuple[str, Any], content: bytes) -> dict[str, Any]:
    """A file that has been uploaded under the name of a PNG."""
    files = {"files": ("layer.png", content)}
    (path,) = httpx.post(f"{studio[0]}gradio_api/upload", files=files).json()
    return {"path": path, "orig_name": "layer.png", **META}


@pytest.mark.parametrize("place", PLACES)
def test_the_editor_refuses_a_data_address(
    studio: tuple[str, Any], client: Client, ghostscript: Path, place: str
) -> None:
    drawing = layered(place, data_address(EPS, "application/postscript"))
    assert DATA_ADDRESS in fill(studio, client, drawing, f"address-{place}")
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("place", PLACES)
def test_the_editor_refuses_another_kind_of_file(
    studio: tuple[str, Any],
    client: Client,
    face: str,
    ghostscript: Path,
    capfd: pytest.CaptureFixture[str],
    place: str,
    kind: str,
) -> None:
    drawing, session = layered(place, uploaded(studio, foreign(kind))), f"{kind}-{place}"
    assert '"success":false' in fill(studio, client, drawing, session)
    assert not ghostscript.exists()
    capfd.readouterr()  # Gradio writes a traceback of what it could not open
    good = layered(place, uploaded(studio, Path(face).read_bytes()))
    assert "There is no picture" in fill(studio, client, good, f"{session}-good")


@pytest.mark.parametrize("kind", DECODERS)
def test_the_canvas_refuses_another_kind_of_picture(
    studio: tuple[str, Any],
    client: Client,
    face: str,
    ghostscript: Path,
    capfd: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    """In a browser the editor sends its layers by a way of their own."""
    (editor,) = (c["id"] for c in client.config["components"] if c["type"] == "imageeditor")

    def drawn(content: bytes, name: str) -> str:
        form = {"component_id": editor, "session_hash": name, "fn_name": "accept_blobs"}
        layer = {"type": "layer", "index": "0", "id": name}
        address = f"{studio[0]}gradio_api/component_server"
        httpx.post(address, data=form | layer, files={"file": ("blob", content)}).raise_for_status()
        return fill(studio, client, {"id": name}, name)

    assert '"success":false' in drawn(foreign(kind), f"canvas-{kind}")
    assert not ghostscript.exists()
    capfd.readouterr()  # as above
    assert "There is no picture" in drawn(Path(face).read_bytes(), f"canvas-{kind}-good")


def test_a_run_goes_through_the_queue_or_not_at_all(
    studio: tuple[str, Any], client: Client, slow: list[float]
) -> None:
    api, data = f"{studio[0]}gradio_api", {"data": [1, 0, 2, None, "fast", None, "closed form"]}
    computing = [d for d in client.config["dependencies"] if d["queue"]]
    assert len(computing) >= len(CONTRACT) + 5  # and those of the tabs
    for route in ("run", "api"):
        for name in CONTRACT:
            assert httpx.post(f"{api}/{route}{name}", json=data).status_code == 404
        for run in computing:
            body = data | {"fn_index": run["id"], "session_hash": "direct"}
            for name in ("predict", run["api_name"]):
                assert httpx.post(f"{api}/{route}/{name}", json=body).status_code == 404
    assert not slow
    event = httpx.post(f"{api}/call/generate", json=data).json()["event_id"]
    assert "event: complete" in httpx.get(f"{api}/call/generate/{event}", timeout=30).text
    assert slow


def test_what_only_rearranges_the_page_needs_no_queue(
    studio: tuple[str, Any], client: Client
) -> None:
    (link,) = (d for d in client.config["dependencies"] if d["api_name"] == "open_about")
    body = {"data": [], "fn_index": link["id"], "session_hash": "page"}
    answer = httpx.post(f"{studio[0]}gradio_api/run/predict", json=body)
    assert answer.status_code == 200 and "about" in answer.text


# ----------------------------------------------------------------------------------------------
# Stop, and several visitors


@pytest.fixture
def slow(studio: tuple[str, Any]) -> Iterator[list[float]]:
    """Make every network call last; the times of the calls."""
    denoiser, calls = studio[1].get("tiny").denoiser, []

    def wait(*_: Any) -> None:
        calls.append(time.monotonic())
        time.sleep(0.05)

    hook = denoiser.register_forward_pre_hook(wait)
    yield calls
    hook.remove()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def assert_stopped(calls: list[float], since: float) -> None:
    """Hardly any network call comes later: a few until the word arrives, one of the next run."""
    time.sleep(1.5)  # thirty calls, had the engine gone on
    assert sum(call > since + 0.5 for call in calls) <= 2


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [("/generate", {"steps": 2000}), ("/evolve", {"mode": "paper"})],
    ids=["generate", "evolve in paper mode"],
)
def test_cancel_stops_the_engine_and_frees_the_worker(
    client: Client, slow: list[float], endpoint: str, options: dict
) -> None:
    job = client.submit(**options, api_name=endpoint)
    wait_for(lambda: len(slow) > 5)
    job.cancel()
    cancelled = time.monotonic()
    files, _ = client.predict(steps=1, api_name="/generate")
    assert files
    assert time.monotonic() - cancelled < 3
    assert_stopped(slow, cancelled)


@pytest.mark.parametrize("route", ["call", "queue"], ids=["a program", "a browser tab"])
def test_a_client_that_goes_away_frees_the_worker(
    studio: tuple[str, Any], client: Client, slow: list[float], route: str
) -> None:
    api, data = f"{studio[0]}gradio_api", {"data": [1, 0, 2000, None, "fast", None, "closed form"]}
    if route == "call":
        event = httpx.post(f"{api}/call/generate", json=data).json()["event_id"]
        stream = f"{api}/call/generate/{event}"
    else:
        functions = client.config["dependencies"]
        (number,) = (f["id"] for f in functions if f["api_name"] == "generate")
        session = {"session_hash": f"gone-{time.monotonic()}"}
        httpx.post(f"{api}/queue/join", json=data | session | {"fn_index": number})
        stream = f"{api}/queue/data?session_hash={session['session_hash']}"
    with httpx.stream("GET", stream, timeout=30) as answer:
        next(line for line in answer.iter_lines() if len(slow) > 3)
    gone = time.monotonic()
    assert client.predict(steps=1, api_name="/generate")[0]
    assert time.monotonic() - gone < 5
    assert_stopped(slow, gone)


def test_two_visitors_at_once_get_their_own_pictures(studio: tuple[str, Any]) -> None:
    results: dict[int, np.ndarray] = {}

    def visit(seed: int) -> None:
        files, _ = Client(studio[0], verbose=False).predict(seed=seed, api_name="/generate")
        results[seed] = pixels(files[0])

    visitors = [threading.Thread(target=visit, args=(seed,)) for seed in (1, 2, 3)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    client = Client(studio[0], verbose=False)
    for seed in (1, 2, 3):
        files, _ = client.predict(seed=seed, api_name="/generate")
        assert np.array_equal(results[seed], pixels(files[0]))
