"""The HTTP API, through gradio_client, on a real server with the tiny model."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import ANY

import httpx
import imageio.v2 as imageio
import numpy as np
import pytest
from gradio_client import handle_file
from PIL import Image

from tests.conftest import TINY
from tests.demo.studio import CONTRACT, REPORT, file_of, pixels, recipe, sentence

SIZE = TINY.image_size
pytestmark = pytest.mark.usefixtures("no_traceback")
RETURNS = {
    "/generate": ["pictures", "report"],
    "/evolve": ["animation", "film strip", "report"],
    "/interpolate": ["pictures", "animation", "report"],
    "/inpaint": ["pictures", "report"],
    "/denoise": ["perturbed", "pictures", "report"],
    "/translate": ["pictures", "film strip", "report"],
    "/toy": ["film strip", "report"],
}


@pytest.fixture(scope="module")
def sent(face_file, hole_file):
    """The pictures that an endpoint cannot do without."""
    face, hole = handle_file(face_file), handle_file(hole_file)
    return {
        "/interpolate": {"image_a": face, "image_b": face},
        "/inpaint": {"image": face, "mask": hole},
        "/denoise": {"image": face},
    }


@pytest.fixture(scope="module")
def call(client, sent):
    """Call an endpoint, with good pictures where none are given."""
    return lambda endpoint, **options: client.predict(
        **sent.get(endpoint, {}) | options, api_name=endpoint
    )


def same(one, other):
    return np.array_equal(pixels(one), pixels(other))


def test_names_parameters_defaults_and_returns_are_the_contract(client):
    api = client.view_api(return_format="dict", print_info=False)
    assert not api["unnamed_endpoints"]
    endpoints = api["named_endpoints"]
    assert CONTRACT == {
        name: {
            p["parameter_name"]: p["parameter_default"] if p["parameter_has_default"] else ...
            for p in endpoint["parameters"]
        }
        for name, endpoint in endpoints.items()
    }
    assert RETURNS == {name: [r["label"] for r in e["returns"]] for name, e in endpoints.items()}
    for name, endpoint in endpoints.items():
        assert all(f"- {parameter}: " in endpoint["description"] for parameter in CONTRACT[name])


# ---- what is drawn


@pytest.mark.parametrize(
    ("endpoint", "options", "count", "own"),
    [
        ("/generate", {"count": 2, "steps": 4, "solver": "ddim"}, 2, {}),
        (
            "/interpolate",
            {"frames": 3, "variance": 1.5},
            3,
            {"frames": 3, "variance": 1.5, "method": "shared noise", "psnr": ANY},
        ),
        ("/inpaint", {"model": "tiny"}, 3, {"method": "conditional", "changed_outside": 0}),
        ("/denoise", {"variance": 0.5}, 4, {"variance": 0.5, "method": "add noise"}),
    ],
)
def test_the_same_seed_draws_the_same_pictures_with_their_recipe(
    call, endpoint, options, count, own
):
    outputs = [call(endpoint, **options, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (next(o for o in one if isinstance(o, list)) for one in outputs)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[1], other[1])
    report = outputs[0][-1]
    assert report.keys() == REPORT | own.keys() and report.items() >= own.items()
    assert (report["model"], report["seed"], report["mode"]) == ("tiny", 3, "fast")
    assert report["nfe"] == report["steps"] > 0 and len(first) == count
    for index, path in enumerate(first):
        assert path.endswith(".png") and pixels(path).shape == (SIZE, SIZE, 3)
        assert recipe(path).items() >= (report | {"picture": index}).items()


def test_a_morph_by_inversion_meets_its_pictures(call, face_file, tmp_path):
    smooth = Image.open(face_file).resize((4, 4)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    third = file_of(tmp_path, "third.png", smooth)
    files, _, report = call(
        "/interpolate", frames=5, method="inversion", image_b=handle_file(third), image_c=None
    )
    assert "variance" not in report and len(files) == 5 and len(report["psnr"]) == 2
    assert abs(pixels(files[-1]) - pixels(third).astype(float)).mean() < 5
    more = {"image_b": handle_file(third), "image_c": handle_file(face_file)}
    _, _, report = call("/interpolate", frames=3, method="inversion", **more)
    assert len(report["psnr"]) == 3


def test_a_noisy_picture_is_cleaned_as_it_is(call, face_file):
    perturbed, files, report = call("/denoise", method="as it is", count=1)
    assert np.array_equal(pixels(perturbed), pixels(face_file)) and len(files) == 1
    assert report["method"] == "as it is" and report["variance"] > 0.01
    assert call("/denoise", method="as it is", noise=0.3, count=1)[-1]["variance"] == 0.09


def test_a_photo_comes_back_whole_with_its_fill_in_place(call, tmp_path):
    rng = np.random.default_rng(5)
    before = rng.integers(0, 256, (70, 90, 3), np.uint8)
    mask = np.zeros((70, 90), np.uint8)
    mask[30:45, 35:60] = 255
    image = handle_file(file_of(tmp_path, "photo.png", Image.fromarray(before)))
    marked = handle_file(file_of(tmp_path, "mask.png", Image.fromarray(mask)))
    crop = {"x": 45, "y": 35, "side": 48, "angle": 12}
    given = {"image": image, "mask": marked, "count": 1, "paste": True}
    files, report = call("/inpaint", **given, crop=crop)
    after = pixels(files[0])
    assert after.shape == before.shape and np.array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask > 0] != before[mask > 0]).any()
    assert report["crop"] == crop and report["changed_outside"] == 0 and report["enlarged"] == 3
    assert report.items() <= recipe(files[0]).items()
    crop["x"] = 500
    assert "outside of the photo" in sentence(lambda: call("/inpaint", **given, crop=crop))


def test_a_seed_is_the_same_picture_alone_and_among_many(call):
    many, _ = call("/generate", count=16, steps=4, seed=3)
    assert all(same(call("/generate", steps=4, seed=3 + k)[0][0], many[k]) for k in (0, 15))


def test_paper_mode_says_what_it_costs(call):
    _, report = call("/generate", mode="paper", steps=3)
    assert report["mode"] == "paper" and report["solver"] == "euler_maruyama"
    assert report["steps"] == 6
    assert report["nfe"] == 3 * 3 + 3 + 1  # score and twice the ratio; stage 2; last Tweedie


def test_films_strips_and_noisy_pictures_are_files(call):
    film, strip, report = call("/evolve", seed=2, frames=8)
    assert Path(film).suffix == ".mp4" and len(imageio.mimread(film)) >= 8
    assert pixels(strip).shape[1] > 8 * 96 and recipe(strip).items() >= report.items()
    assert report.keys() == REPORT | {"frames"} and report["seed"] == 2
    _, film, _ = call("/interpolate", frames=3)  # there and back
    assert Path(film).suffix == ".mp4" and len(imageio.mimread(film)) >= 2 * 3 - 1
    noisy, _, report = call("/denoise", count=1)
    assert recipe(noisy).items() >= report.items()


def test_inpaint_keeps_known_pixels_of_the_file_bit_for_bit(call, face_file, hole_file):
    files, _ = call("/inpaint", count=2)
    known, before = pixels(hole_file) == 0, pixels(face_file)
    for path in files:
        assert np.array_equal(pixels(path)[known], before[known])
        assert not np.array_equal(pixels(path)[~known], before[~known])


def test_toy_reaches_the_truth(call):
    strip, report = call("/toy")
    assert strip.endswith(".png") and pixels(strip).shape[1] > 9 * 144
    assert report.keys() >= REPORT | {"sigma", "tau", "particles"}
    assert recipe(strip).items() >= report.items()
    assert (report["model"], report["nfe"], report["particles"]) == ("six-gaussians", 20, 2000)
    assert 0 < report["sliced_w2"] < 1.5 * report["floor"] and len(report["mode_mass"]) == 6


def test_toy_with_options(call):
    options = {"dataset": "moons", "particles": 300, "sigma": 0.5, "tau": 2, "steps": 8, "seed": 3}
    (first, report), (again, _), (other, _) = (
        call("/toy", **options, solver=solver) for solver in (None, None, "ddim")
    )
    assert same(first, again) and not same(first, other)
    given = {name: options[name] for name in ("particles", "sigma", "tau", "steps", "seed")}
    assert report.items() >= given.items() and "mode_mass" not in report
    options = {"mode": "paper", "steps": 10, "drift": "self-normalised", "n3": 3, "particles": 50}
    _, report = call("/toy", **options)
    assert report["steps"] == 20 and (report["drift"], report["n3"]) == ("self-normalised", 3)
    assert report["nfe"] == 10 * 6 + 10 + 1  # score and ratio; stage 2; last Tweedie


def test_toy_with_learned_networks(call, monkeypatch):
    monkeypatch.setattr("demo.tabs.lab.TRAINING_SECONDS", 0.5)
    _, report = call("/toy", networks="learned", particles=50, steps=4)
    assert report["networks"] == "learned" and report["nfe"] == 4


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_means_the_default(call, nothing):
    optional = {"steps": nothing, "solver": nothing, "model": nothing}
    assert same(call("/generate", **optional)[0][0], call("/generate")[0][0])


# ---- what is refused


@pytest.mark.parametrize(
    ("endpoint", "options", "wanted"),
    [
        ("/generate", {"count": 0}, "The number of pictures must be a whole number from 1 to 16"),
        ("/generate", {"seed": 1e300}, "The seed"),
        ("/generate", {"seed": "many"}, "seed"),
        ("/generate", {"steps": 10**9}, "The number of steps"),
        ("/generate", {"solver": "magic"}, "The solver must be one of"),
        ("/generate", {"mode": "warp"}, "The mode must be one of fast, instant, paper; got warp"),
        ("/generate", {"start": "nowhere"}, "The start must be one of closed form"),
        ("/generate", {"start": "noise", "mode": "paper"}, "Paper mode has a stage 1 of its own"),
        ("/generate", {"model": "zbroken"}, "safetensors"),
        ("/generate", {"model": "../../etc"}, "no model"),
        ("/evolve", {"frames": 3}, "The number of frames must be a whole number from 4 to 120"),
        ("/interpolate", {"frames": 34}, "The number of frames"),
        ("/interpolate", {"variance": 0}, "The noise variance must be a number from 0.001 to 4"),
        ("/interpolate", {"method": "magic"}, "The method must be one of inversion, shared noise"),
        ("/inpaint", {"count": 0}, "The number of fills"),
        ("/inpaint", {"method": "magic"}, "The method must be one of conditional, algorithm2"),
        ("/denoise", {"count": 10}, "The number of restorations"),
        ("/denoise", {"variance": 4.1}, "The noise variance must be a number from 1e-06 to 4"),
        ("/denoise", {"method": "magic"}, "The method must be one of add noise, as it is"),
        ("/denoise", {"noise": 2.1}, "The noise in the picture must be a number from 0.001 to 2"),
        ("/toy", {"dataset": "seven"}, "The distribution must be one of six-gaussians, moons"),
        ("/toy", {"dataset": "drawn"}, "drawing is empty"),
        ("/toy", {"particles": 1e9}, "The number of particles"),
        ("/toy", {"sigma": 0}, "Sigma must be a number from 0.05 to 10"),
        ("/toy", {"steps": 1}, "The number of evaluations"),
        ("/toy", {"mode": "paper", "steps": 30, "drift": "ratio"}, "diverged"),
    ],
)
def test_bad_values_are_named_in_a_sentence(call, endpoint, options, wanted):
    assert wanted in sentence(lambda: call(endpoint, **options))


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"many"', "1e999", "true"])
def test_values_that_are_no_numbers_leave_the_server_serving(studio, call, value):
    address = f"{studio[0]}gradio_api/call/generate"
    body = f'{{"data": [{value}, 0, null, null, "fast", null, "closed form"]}}'
    header = {"content-type": "application/json"}
    answer = httpx.post(address, content=body, headers=header, timeout=30)
    text = answer.text
    if answer.status_code == 200:
        text = httpx.get(f"{address}/{answer.json()['event_id']}", timeout=30).text
        assert "event: error" in text
    assert "Traceback" not in text
    assert call("/generate", steps=1)[0]


def test_pictures_that_are_none(call, sent, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("I am no picture")
    for endpoint, pictures in sent.items():
        for name in pictures:
            said = {"image_a": "Picture A", "image_b": "Picture B"}.get(name, name.title())
            for bad, words in ((handle_file(text), f"{said}: This"), (None, said)):
                found = sentence(lambda e=endpoint, n=name, b=bad: call(e, **{n: b}))
                assert found.startswith(words), found
    bomb = file_of(tmp_path, "bomb.png", Image.new("1", (14000, 12000)))
    words = sentence(lambda: call("/denoise", image=handle_file(bomb)))
    assert words.startswith("Image: The picture is too large")
    assert call("/generate", steps=1)[0]  # the server goes on


def test_masks(call, tmp_path):
    def fill(size, white):
        path = file_of(tmp_path, "mask.png", Image.new("L", size, white))
        return call("/inpaint", mask=handle_file(path), count=1)[0]

    assert "marked" in sentence(lambda: fill((SIZE, SIZE), 0))
    assert "Mask: " in sentence(lambda: fill((2 * SIZE, SIZE), 255))
    assert len(fill((4 * SIZE, 4 * SIZE), 255)) == 1  # all of it, and larger
