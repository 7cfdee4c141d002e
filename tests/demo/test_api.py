"""The HTTP API, through gradio_client, on a real server with the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import imageio.v2 as imageio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from tests.conftest import TINY
from tests.demo.studio import CONTRACT, REPORT, file_of, pixels, recipe, sentence

SIZE = TINY.image_size
pytestmark = pytest.mark.usefixtures("no_traceback")


@pytest.fixture(scope="module")
def sent(face_file: str, hole_file: str) -> dict[str, dict[str, Any]]:
    """The pictures that an endpoint cannot do without."""
    face, hole = handle_file(face_file), handle_file(hole_file)
    return {
        "/interpolate": {"image_a": face, "image_b": face},
        "/inpaint": {"image": face, "mask": hole},
        "/denoise": {"image": face},
    }


@pytest.fixture
def call(client: Client, sent: dict[str, dict[str, Any]]) -> Any:
    """Call an endpoint, with good pictures where none are given."""

    def call(endpoint: str, **options: Any) -> Any:
        return client.predict(**sent.get(endpoint, {}) | options, api_name=endpoint)

    return call


RETURNS = {
    "/generate": ["pictures", "report"],
    "/evolve": ["animation", "film strip", "report"],
    "/interpolate": ["pictures", "animation", "report"],
    "/inpaint": ["pictures", "report"],
    "/denoise": ["perturbed", "pictures", "report"],
    "/translate": ["pictures", "film strip", "report"],
    "/toy": ["film strip", "report"],
}


def same(one: str, other: str) -> bool:
    return np.array_equal(pixels(one), pixels(other))


def test_names_parameters_defaults_and_returns_are_the_contract(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert not api["unnamed_endpoints"]
    found = {
        name: {
            p["parameter_name"]: p["parameter_default"] if p["parameter_has_default"] else ...
            for p in endpoint["parameters"]
        }
        for name, endpoint in api["named_endpoints"].items()
    }
    assert found == CONTRACT
    returns = {
        name: [r["label"] for r in e["returns"]] for name, e in api["named_endpoints"].items()
    }
    assert returns == RETURNS
    for name, endpoint in api["named_endpoints"].items():
        assert all(f"- {parameter}: " in endpoint["description"] for parameter in CONTRACT[name])


# ---- what is drawn


@pytest.mark.parametrize(
    ("endpoint", "count", "own"),
    [
        ("/generate", 1, {}),
        ("/interpolate", 9, {"frames": 9, "variance": 0.4}),
        ("/inpaint", 3, {"method": "conditional", "changed_outside": 0}),
        ("/denoise", 4, {"variance": 1.0}),
    ],
)
def test_pictures_come_with_their_recipe(call: Any, endpoint: str, count: int, own: dict) -> None:
    *others, report = call(endpoint)
    (files,) = (output for output in others if isinstance(output, list))
    assert report.keys() == REPORT | own.keys() and report.items() >= own.items()
    assert (report["model"], report["seed"], report["mode"]) == ("tiny", 0, "fast")
    assert report["nfe"] == report["steps"] > 0 and len(files) == count
    for index, path in enumerate(files):
        assert path.endswith(".png") and pixels(path).shape == (SIZE, SIZE, 3)
        assert recipe(path) == report | {"picture": index}


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        ("/generate", {"count": 2, "steps": 4, "solver": "ddim", "model": "tiny"}),
        ("/interpolate", {"frames": 5, "variance": 1.5, "model": "tiny"}),
        ("/inpaint", {"count": 2, "method": "algorithm2", "model": "tiny"}),
        ("/denoise", {"variance": 0.5, "count": 2, "model": "tiny"}),
    ],
)
def test_the_same_seed_draws_the_same_pictures(call: Any, endpoint: str, options: dict) -> None:
    first, again, other = (call(endpoint, **options, seed=seed) for seed in (3, 3, 4))
    pictures = [
        next(o for o in outputs if isinstance(o, list)) for outputs in (first, again, other)
    ]
    assert all(same(a, b) for a, b in zip(pictures[0], pictures[1], strict=True))
    assert not same(pictures[0][1], pictures[2][1])
    wanted = {name: options[name] for name in options if name not in ("count",)}
    assert first[-1].items() >= (wanted | {"seed": 3}).items()


def test_a_seed_is_the_same_picture_alone_and_among_sixteen(call: Any) -> None:
    many, _ = call("/generate", count=16, seed=3)
    for index in (0, 7, 15):
        one, _ = call("/generate", seed=3 + index)
        assert same(one[0], many[index])


def test_every_start_draws_another_picture(call: Any) -> None:
    starts = ("closed form", "network", "noise")
    drawn = [call("/generate", steps=4, start=start)[0][0] for start in starts]
    assert not any(same(drawn[i], drawn[i - 1]) for i in range(3))
    assert same(call("/generate", steps=4)[0][0], drawn[0])


def test_paper_mode_says_what_it_costs(call: Any) -> None:
    _, report = call("/generate", mode="paper", steps=3)
    assert report["mode"] == "paper" and report["solver"] == "euler_maruyama"
    assert report["steps"] == 6
    assert report["nfe"] == 3 * 3 + 3 + 1  # score and twice the ratio; stage 2; last Tweedie


def test_evolve_gives_a_film_and_a_strip(call: Any) -> None:
    film, strip, report = call("/evolve", seed=2, frames=8)
    assert Path(film).suffix == ".mp4" and len(imageio.mimread(film)) >= 8
    assert pixels(strip).shape[1] > 8 * 96 and recipe(strip) == report
    assert report.keys() == REPORT | {"frames"} and report["seed"] == 2
    assert call("/evolve")[-1]["frames"] == 24


def test_a_morph_goes_there_and_back(call: Any) -> None:
    _, film, _ = call("/interpolate")
    assert Path(film).suffix == ".mp4" and len(imageio.mimread(film)) >= 2 * 9 - 1


def test_of_an_animation_the_first_frame_counts(call: Any, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("red", "blue")]
    path = file_of(tmp_path, "film.gif", frames[0], save_all=True, append_images=frames[1:])
    pair = {"image_a": handle_file(path), "image_b": handle_file(path)}
    files, _, _ = call("/interpolate", **pair, variance=0.001, frames=2)
    red, _, blue = pixels(files[0]).reshape(-1, 3).mean(0)
    assert red > blue


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
def test_inpaint_keeps_known_pixels_bit_for_bit(
    call: Any, face_file: str, hole_file: str, method: str
) -> None:
    files, report = call("/inpaint", count=2, method=method)
    assert report["mode"] == {"conditional": "fast", "algorithm2": "paper"}[method]
    known, before = pixels(hole_file) == 0, pixels(face_file)
    for path in files:
        assert np.array_equal(pixels(path)[known], before[known])
        assert not np.array_equal(pixels(path)[~known], before[~known])
    assert not same(files[0], files[1])


def test_a_picture_of_another_size_is_cut_to_that_of_the_model(call: Any, tmp_path: Path) -> None:
    photo = Image.new("RGB", (4 * SIZE, 6 * SIZE), (40, 90, 160))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    path = file_of(tmp_path, "photo.jpg", photo, exif=exif)
    files, _ = call("/inpaint", image=handle_file(path), count=1)
    shown = pixels(files[0])
    assert shown.shape == (SIZE, SIZE, 3)
    assert abs(shown[0, 0].astype(int) - (40, 90, 160)).max() < 4


def test_with_hardly_any_noise_denoise_gives_the_picture_back(call: Any, tmp_path: Path) -> None:
    ramp = np.linspace(60, 190, SIZE * SIZE * 3).astype(np.uint8).reshape(SIZE, SIZE, 3)
    path = file_of(tmp_path, "ramp.png", Image.fromarray(ramp))
    noisy, files, report = call("/denoise", image=handle_file(path), variance=1e-6, count=1)
    assert recipe(noisy) == report
    for path in (noisy, *files):
        assert abs(pixels(path).astype(int) - ramp).mean() < 2


def test_toy_reaches_the_truth(call: Any) -> None:
    strip, report = call("/toy")
    assert strip.endswith(".png") and pixels(strip).shape[1] > 9 * 144
    assert report.keys() >= REPORT | {"sigma", "tau", "particles"} and recipe(strip) == report
    assert (report["model"], report["nfe"], report["particles"]) == ("six-gaussians", 20, 2000)
    assert 0 < report["sliced_w2"] < 1.5 * report["floor"] and len(report["mode_mass"]) == 6


def test_toy_with_options(call: Any) -> None:
    options = {"dataset": "moons", "particles": 300, "sigma": 0.5, "tau": 2, "steps": 8, "seed": 3}
    first, again, other = (
        call("/toy", **options | change) for change in ({}, {}, {"solver": "ddim"})
    )
    assert same(first[0], again[0]) and not same(first[0], other[0])
    given = {name: options[name] for name in ("particles", "sigma", "tau", "steps", "seed")}
    assert first[1].items() >= given.items() and "mode_mass" not in first[1]


def test_toy_in_paper_mode(call: Any) -> None:
    options = {"mode": "paper", "steps": 10, "drift": "self-normalised", "n3": 3, "particles": 50}
    _, report = call("/toy", **options)
    assert report["steps"] == 20 and (report["drift"], report["n3"]) == ("self-normalised", 3)
    assert report["nfe"] == 10 * 6 + 10 + 1  # score and ratio; stage 2; last Tweedie


def test_toy_with_learned_networks(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.tabs.lab.TRAINING_SECONDS", 0.5)
    _, report = call("/toy", networks="learned", particles=50, steps=4)
    assert report["networks"] == "learned" and report["nfe"] == 4


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_means_the_default(call: Any, nothing: Any) -> None:
    optional = {"steps": nothing, "solver": nothing, "model": nothing}
    assert same(call("/generate", **optional)[0][0], call("/generate")[0][0])
    steps = {} if nothing == "" else {"steps": None}  # a number cannot be ""
    assert call("/toy", **steps, solver=nothing, particles=50)[1]["steps"] == 20


# ---- what is refused


@pytest.mark.parametrize(
    ("endpoint", "options", "wanted"),
    [
        ("/generate", {"count": 0}, "The number of pictures must be a whole number from 1 to 16"),
        ("/generate", {"count": 1.5}, "The number of pictures"),
        ("/generate", {"count": 10**400}, "The number of pictures"),
        ("/generate", {"seed": -1}, "The seed"),
        ("/generate", {"seed": 1e300}, "The seed"),
        ("/generate", {"seed": None}, "The seed"),
        ("/generate", {"seed": "many"}, "seed"),
        ("/generate", {"steps": -3}, "The number of steps"),
        ("/generate", {"steps": 10**9}, "The number of steps"),
        ("/generate", {"solver": "magic"}, "The solver must be one of"),
        ("/generate", {"mode": "warp"}, "The mode must be one of fast, paper; got warp"),
        ("/generate", {"mode": None}, "The mode"),
        ("/generate", {"start": "nowhere"}, "The start must be one of closed form"),
        ("/generate", {"start": "noise", "mode": "paper"}, "Paper mode has a stage 1 of its own"),
        ("/generate", {"model": "nobody"}, "no model 'nobody'"),
        ("/generate", {"model": "zbroken"}, "safetensors"),
        ("/generate", {"model": "../../etc"}, "no model"),
        ("/evolve", {"frames": 3}, "The number of frames must be a whole number from 4 to 120"),
        ("/evolve", {"frames": 1e9}, "The number of frames"),
        ("/interpolate", {"frames": 34}, "The number of frames"),
        ("/interpolate", {"variance": 0}, "The noise variance must be a number from 0.001 to 4"),
        ("/interpolate", {"variance": None}, "The noise variance"),
        ("/interpolate", {"variance": "much"}, "variance"),
        ("/inpaint", {"count": 0}, "The number of fills"),
        ("/inpaint", {"seed": -1}, "The seed"),
        ("/inpaint", {"method": "magic"}, "The method must be one of conditional, algorithm2"),
        ("/denoise", {"count": 10}, "The number of restorations"),
        ("/denoise", {"variance": 4.1}, "The noise variance must be a number from 1e-06 to 4"),
        ("/denoise", {"variance": None}, "The noise variance"),
        ("/denoise", {"model": "nobody"}, "no model 'nobody'"),
        ("/toy", {"dataset": "seven"}, "The distribution must be one of six-gaussians, moons"),
        ("/toy", {"dataset": "drawn"}, "drawing is empty"),
        ("/toy", {"particles": 1}, "The number of particles"),
        ("/toy", {"particles": 1e9}, "The number of particles"),
        ("/toy", {"sigma": 0}, "Sigma must be a number from 0.05 to 10"),
        ("/toy", {"sigma": None}, "Sigma"),
        ("/toy", {"tau": -1}, "Tau"),
        ("/toy", {"tau": 1e300}, "Tau"),
        ("/toy", {"steps": 1}, "The number of evaluations"),
        ("/toy", {"mode": "paper", "steps": 0}, "The number of evaluations"),
        ("/toy", {"networks": "neural"}, "The networks must be one of exact, learned"),
        ("/toy", {"drift": "snow"}, "The drift must be one of exact"),
        ("/toy", {"n3": 0}, "N3 must be"),
        ("/toy", {"mode": "paper", "steps": 30, "drift": "ratio"}, "diverged"),
    ],
)
def test_bad_values_are_named_in_a_sentence(
    call: Any, endpoint: str, options: dict, wanted: str
) -> None:
    assert wanted in sentence(lambda: call(endpoint, **options))


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"many"', "[]", "1e999", "true"])
def test_values_that_are_no_numbers_leave_the_server_serving(
    studio: tuple[str, Any], call: Any, value: str
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
    assert call("/generate", steps=1)[0]


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
def test_pictures_that_are_none(call: Any, sent: dict, tmp_path: Path, kind: str) -> None:
    bad = handle_file(bad_file(kind, tmp_path))
    for endpoint, pictures in sent.items():
        for name in pictures:
            said = {"image_a": "Picture A", "image_b": "Picture B"}.get(name, name.title())
            found = sentence(lambda e=endpoint, n=name: call(e, **{n: bad}))
            assert found.startswith(f"{said}: Th"), found
    assert call("/generate")[0]  # the server goes on


def test_a_missing_picture_is_a_sentence(call: Any) -> None:
    for endpoint, name, wanted in (
        ("/inpaint", "image", "Image: Please choose a picture first."),
        ("/inpaint", "mask", "Mask: Please choose a picture first."),
        ("/denoise", "image", "Image: Please choose a picture first."),
        ("/interpolate", "image_a", "Picture A is missing"),
        ("/interpolate", "image_b", "Picture B is missing"),
    ):
        found = sentence(lambda e=endpoint, n=name: call(e, **{n: None}))
        assert found.startswith(wanted), found


def test_masks(call: Any, tmp_path: Path) -> None:
    def fill(size: tuple[int, int], white: int) -> Any:
        path = file_of(tmp_path, "mask.png", Image.new("L", size, white))
        return call("/inpaint", mask=handle_file(path), count=1)[0]

    assert "marked" in sentence(lambda: fill((SIZE, SIZE), 0))
    assert "too small" in sentence(lambda: fill((1, 1), 255))
    assert "Mask: " in sentence(lambda: fill((2 * SIZE, SIZE), 255))
    assert len(fill((SIZE, SIZE), 255)) == 1  # all of it: a picture from nothing
    assert len(fill((4 * SIZE, 4 * SIZE), 255)) == 1  # larger, of the same shape
