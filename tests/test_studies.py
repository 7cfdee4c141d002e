"""Studies at their quickest, on the tiny model: what they print, and what they refuse."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import evaluate
from sbcore.data.masks import brush_hole, preset_holes
from sbcore.features import FeatureNet, save_features
from sbcore.runtime.noise import PictureNoise
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.paper import PaperMode
from studies import STUDIES, bench, inpainting, samplers, tables
from studies.album import Drawn
from studies.distances import PIXELS, make_ruler
from studies.inception import Inception
from studies.models import load_model
from studies.report import silent
from tests.conftest import SIGMA, TAU, TINY, save_tiny, smooth_pictures

DATA = ("--data", "train", "--quick")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, the tiny model with both networks, and a feature network."""
    folder = tmp_path_factory.mktemp("studies")
    for name, pictures in {
        "train": smooth_pictures(40),
        "val": smooth_pictures(20, seed=1),
    }.items():
        (folder / name).mkdir()
        for i, picture in enumerate(pictures):
            image = Image.fromarray(picture.permute(1, 2, 0).numpy())
            image.save(folder / name / f"{i:02d}.png")
    save_tiny(folder / "tiny")
    save_tiny(folder / "plain", ratio=False)
    torch.manual_seed(0)
    save_features(folder / "features", FeatureNet(TINY.shape, (8, 16)))
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs ``evaluate.py`` in that folder: its exit status, and the tables it wrote."""
    monkeypatch.chdir(place)

    def call(*arguments: str, out: str = "results") -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments, "--out", out])
        status = evaluate.main()
        found = sorted(Path(out).glob(f"{arguments[0]}-*/results.json"))
        text = found[0].read_text(encoding="utf-8") if found else "{}"
        return status, json.loads(text).get("tables", {})

    return call


# ----------------------------------------------------------------------------------------------
# Inpainting


@pytest.fixture(scope="module")
def model(place: Path):
    return load_model(place / "tiny")


def test_inpainting_measures_every_way_on_every_hole(run) -> None:
    status, found = run("inpainting", "tiny", *DATA)
    (rows,) = found.values()
    assert status == 0
    assert [row["hole"] for row in rows[::7]] == list(inpainting.HOLES)
    assert len({row["way"] for row in rows}) == 7 and len(rows) == 35
    for row in rows:
        assert row["known-pixel error"] == 0
        assert math.isfinite(row["PSNR, one fill"]) and -1 <= row["SSIM, one fill"] <= 1
        assert row["PSNR, mean of fills"] >= row["PSNR, one fill"] - 1e-4  # by Jensen
    ways = {row["way"].split(",")[0]: row["evaluations"] for row in rows}
    assert ways["conditional denoiser"] == 5 and ways["Algorithm 2"] == 6
    assert ways["RePaint-style"] == 9 and ways["mean picture"] == 0
    assert len(list(Path("results/inpainting-tiny").glob("*.png"))) == len(inpainting.HOLES)


def test_inpainting_repeats_under_a_seed(run) -> None:
    seeds = {"one": "3", "two": "3", "three": "4"}
    one, two, three = (
        run("inpainting", "plain", *DATA, "--count", "1", "--seed", seed, out=out)[1]
        for out, seed in seeds.items()
    )
    assert one == two != three


def test_mean_picture_and_classical_fills_are_what_they_are_called(model) -> None:
    bridge = model.bridge()
    settings = inpainting.Settings(1, 2, 2, 2, 3, seed=0)
    ways = {way.title: way for way in inpainting._ways(model, bridge, settings)}
    hole = torch.from_numpy(preset_holes(16)["centre"])
    picture = torch.full(TINY.shape, 0.4)
    filled = ways["mean picture"].fill(picture, hole, 0)[0]
    assert torch.equal(filled[:, hole], model.denoiser.mean[:, hole])
    for name in ("Telea (OpenCV)", "Navier-Stokes (OpenCV)"):  # they carry a plain colour on
        assert ways[name].fill(picture, hole, 0)[0, :, hole].sub(0.4).abs().max() < 0.01


def test_repaint_goes_back_after_each_segment_and_keeps_known_pixels(model) -> None:
    known = torch.randn(TINY.shape, generator=torch.Generator().manual_seed(0)) / 4
    mask = torch.from_numpy(~preset_holes(16)["eyes"])
    calls = []

    class Counted:
        linear = model.denoiser.linear

        def __call__(self, v: torch.Tensor, s: float) -> torch.Tensor:
            calls.append(s)
            return model.denoiser(v, s)

    grid = karras_grid(7, SIGMA, 0.03)
    noise = PictureNoise([5, 6], TINY.shape)
    filled = inpainting.repaint(Counted(), known, mask, noise, grid)
    assert torch.equal(filled[..., mask], known[..., mask].expand(2, -1, -1))
    segments = [grid[0:3], grid[3:6], grid[6:7]]  # of three, three and one step
    assert calls == [s for part in segments for s in part * inpainting.RESAMPLE]
    assert not torch.equal(filled[0], filled[1])


@pytest.mark.parametrize("size", [8, 16, 64])
def test_brush_holes_leave_known_pixels_and_are_never_empty(size: int) -> None:
    holes = [brush_hole(size, seed) for seed in range(40)]
    assert all(hole.shape == (size, size) and 0 < hole.mean() < 1 for hole in holes)
    assert np.array_equal(holes[3], brush_hole(size, 3))
    assert not np.array_equal(holes[3], holes[4])


# ----------------------------------------------------------------------------------------------
# Bench


def test_bench_states_ratios_and_whether_the_budgets_are_kept(run) -> None:
    status, found = run("bench", "tiny", "--quick")
    assert status == 0
    budgets = {row["what"].split(",")[0]: row for row in found["Budgets"]}
    assert budgets["fast default"]["measured"] > 10
    assert all((row["kept"] == "yes") or row["kept"] == "no" for row in found["Budgets"])
    rates = found["Pictures a second, default quality"]
    assert [row["batch"] for row in rates] == [1, 2] and all(row["float32"] > 0 for row in rates)
    memory = [row["MB"] for row in found["Peak memory"]]
    assert memory == sorted(memory) and memory[0] > 50


def test_overhead_of_an_engine_that_does_twice_the_work_is_a_hundred_percent(model) -> None:
    bridge = model.bridge()

    class Half:
        """Bare calls of half the work."""

        calls = 0

        def __call__(self, v: torch.Tensor, s: float) -> torch.Tensor:
            self.calls += 1
            return model.denoiser(v, s) if self.calls % 2 else v

    ratio = bench.overhead(bridge, Half(), 9, silent)
    assert 1.5 < ratio < 4


def test_paper_mode_is_extrapolated_to_a_thousand_steps(model, monkeypatch) -> None:
    monkeypatch.setattr(bench, "seconds_of", lambda work: (work(), 2.0)[1])
    fast, paper = bench.end_to_end(model.bridge(), 5, silent)
    assert fast == 2.0 and paper == 400.0


def test_bench_without_the_app_is_a_sentence(run, monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "ROOT", Path("nosuch"))
    assert run("bench", "tiny", "--quick", "--app")[0] == 1
    assert "no app.py" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------
# Tables 1 and 2


@pytest.fixture
def without_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that lacks torch-fidelity."""
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)


def test_table1_prints_every_tau_beside_the_paper(run, without_inception, capsys) -> None:
    status, found = run("table1", "tiny", *DATA, "--features", "features")
    (rows,) = found.values()
    assert status == 0
    named = {(row["tau / sigma^2"], row["drift"]): row for row in rows}
    assert named["2", "ratio"]["FID in the paper"] == 12.32  # the tiny model's own tau
    assert ("1", "exact") in named and ("1", "ratio") not in named
    assert named["4", "exact"]["IS in the paper"] == 8.10
    assert named["2", "exact"]["evaluations"] == 3 + 5  # none at t = 0; the last Tweedie step
    for row in rows:
        assert row["FID"] is None and row["Frechet, features"] is not None
    text = capsys.readouterr().out
    assert "floor" in text and "torch-fidelity" in text and "--inception" in text


def test_table2_prints_published_numbers_and_the_model(run, without_inception) -> None:
    status, found = run("table2", "plain", *DATA, "--paper")
    (rows,) = found.values()
    assert status == 0
    published = {row["model"]: row["FID"] for row in rows[:6]}
    assert published["WGAN-GP"] == 36.4 and published["NCSNv2"] == 10.87
    assert [row["model"].split(", ")[0] for row in rows[6:8]] == ["tiny", "tiny"]
    assert "exact drift" in rows[7]["model"]  # this one has no density ratio
    # Without a feature network of this size the other distances still stand.
    assert rows[6]["Frechet, features"] is None and rows[6]["SWD, mean"] > 0
    assert rows[8]["SWD, mean"] < rows[6]["SWD, mean"]


def test_a_run_that_diverges_is_a_row_that_says_so(model, monkeypatch) -> None:
    class Wild(Bridge):
        def _ratio(self, x: torch.Tensor) -> torch.Tensor:
            return 1e4 * x.flatten(1).sum(1)

    wild = Wild(model.denoiser, SIGMA, TAU, model.log_ratio, "wild")
    pictures, _ = tables.draw(wild, 4, 0, silent, "wild", PaperMode(n1=40, n2=4))
    assert pictures is None
    assert math.isnan(tables.cells(None, None)[0])


def test_pictures_of_a_table_are_those_of_their_seeds(model) -> None:
    bridge = model.bridge()
    drawn, nfe = tables.draw(bridge, 20, 7, silent, "")
    assert drawn.shape == (20, *TINY.shape) and nfe == DEFAULTS["generate"].steps
    torch.testing.assert_close(drawn[17:], bridge.generate(3, seed=24).result(), atol=1e-5, rtol=0)


def test_foreign_inception_weights_are_refused(tmp_path: Path) -> None:
    reference = smooth_pictures(4)
    with pytest.raises(ValueError, match="no Inception weights at"):
        Inception(tmp_path / "nosuch.pth", reference)
    (tmp_path / "other.pth").write_bytes(b"a pickle of who knows what")
    with pytest.raises(ValueError, match="does not hold"):
        Inception(tmp_path / "other.pth", reference)


# ----------------------------------------------------------------------------------------------
# Samplers


def test_samplers_measures_every_row_and_draws_nothing_twice(run, place, monkeypatch) -> None:
    status, found = run("samplers", "tiny", *DATA, out="sampled")
    assert status == 0
    rows, against, _ = found.values()
    assert {row["no worse"] for row in against} <= {"yes", "no"} and against
    titles = [row["sampler"] for row in rows]
    assert titles[0] == "training pictures (floor)"
    assert samplers.PAPER in titles and f"{samplers.PAPER}, no last Tweedie step" in titles
    starts = {row["start"] for row in rows}
    assert {*samplers.STARTS.values(), "N(mean, sigma^2)", "point mass"} <= starts
    assert all(row[samplers.SWD] > 0 for row in rows)
    noisy = next(row for row in rows if "no last" in row["sampler"])
    clean = next(row for row in rows if row["sampler"] == samplers.PAPER)
    assert noisy["evaluations"] == clean["evaluations"] - 1
    assert noisy[PIXELS] != clean[PIXELS]
    for name in ("README.md", "swd.png", "sheet.png"):
        assert (place / "sampled" / "samplers-tiny" / name).exists()

    def no_drawing(*args: object, **kwargs: object) -> None:
        raise AssertionError("the pictures are on disk")

    monkeypatch.setattr(Bridge, "generate_steps", no_drawing)
    assert run("samplers", "tiny", *DATA, out="sampled") == (0, found)  # and deterministic


def test_samplers_without_a_density_ratio_takes_the_exact_drift(run) -> None:
    status, found = run("samplers", "plain", *DATA, out="plainly")
    rows, against, _ = found.values()
    assert status == 0 and not against
    titles = [row["sampler"] for row in rows]
    assert samplers.PAPER not in titles and "paper mode: exact drift" in titles


def test_fast_default_is_held_against_paper_mode_and_its_spread(place) -> None:
    options = SimpleNamespace(
        data=str(place / "train"), val=None, features=place / "features", inception=None
    )
    bridge = load_model(place / "tiny").bridge()
    ruler = make_ruler(options, bridge, 16)
    solver, steps = DEFAULTS["generate"]
    paper = samplers.Row(samplers.PAPER, "point mass", "paper", {"paper": None}, 4001)
    fast = samplers.Row(
        "fast", "closed form at sigma", "fast",
        {"solver": solver, "start": "closed form", "steps": steps}, steps,
    )  # fmt: skip
    good = ruler.sets.training[:16] / 255.0
    bad = 0.2 * good  # far too dark

    def verdicts(first: torch.Tensor, second: torch.Tensor) -> dict[str, str]:
        sets = {fast: first, paper: second}
        found = {row: (Drawn({"pictures": x}, 0.0), ruler.measure(x)) for row, x in sets.items()}
        table = samplers._against_paper(found, ruler)
        return {row[0]: row[-1] for row in table.rows}

    assert set(verdicts(good, good).values()) == {"yes"}
    assert verdicts(bad, good)[PIXELS] == "no"
    assert verdicts(good, bad)[PIXELS] == "yes"


def test_fewest_evaluations_are_those_within_ten_percent_of_many() -> None:
    distances = {3: 50.0, 6: 21.9, 10: 20.5, samplers.CONVERGED: 20.0}
    found = {}
    for n, distance in distances.items():
        options = {"solver": "ddim", "start": "closed form", "steps": n}
        row = samplers.Row("DDIM", "closed form", str(n), options, n)
        found[row] = Drawn({}, 0.0), {samplers.SWD: distance}
    assert samplers._fewest(found).rows == [["DDIM", "closed form", 6, 21.9, 20.0, 100]]


# ----------------------------------------------------------------------------------------------
# Features, and what all refuse


def test_features_study_prints_every_damage_and_writes_the_card(run, place) -> None:
    status, _ = run("features", "features", *DATA, "--count", "16", "--write")
    assert status == 0
    card = (place / "features" / "README.md").read_text(encoding="utf-8")
    assert "sha256" in card and "floor" in card and "mode drop, 1/8" in card


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["inpainting", "nosuch", "--data", "train"], "nosuch"),
        (["inpainting", "tiny", "--data", "train", "--count", "0"], "count"),
        (["inpainting", "tiny", "--data", "train", "--fills", "1"], "fills"),
        (["inpainting", "tiny", "--data", "train", "--count", "99"], "20"),
        (["bench", "tiny", "--repeats", "0"], "repeats"),
        (["table1", "tiny", "--data", "train", "--count", "99"], "20"),
        (["table1", "tiny", "--data", "train", "--paper-steps", "0"], "paper_steps"),
        (["table2", "tiny", "--data", "train", "--inception", "nosuch.pth"], "nosuch.pth"),
        (["features", "tiny", "--data", "train"], "features.json"),
        (["features", "features", "--data", "train", "--count", "30"], "20"),
    ],
)
def test_bad_arguments_are_a_sentence(run, capsys, arguments, wanted) -> None:
    quick = [] if "99" in arguments else ["--quick"]
    assert run(*arguments, *quick)[0] == 1
    error = capsys.readouterr().err
    assert wanted in error and "Traceback" not in error


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_explains_itself(name: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 0
    assert STUDIES[name].__doc__.split("\n")[0].split()[0] in capsys.readouterr().out
