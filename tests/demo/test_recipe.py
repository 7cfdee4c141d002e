"""Recipes: what was drawn is drawn again, byte for byte; whatever else comes is a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from demo import glyphs, imaging, media, recipe
from demo.models import Models
from demo.params import Picture
from demo.tabs import denoise, evolution, generate, inpaint, interpolate, lab, translate
from sbcore import __version__
from tests.conftest import save_tiny
from tests.demo.studio import file_of, pixels, refused
from tests.demo.tabs.test_translate import save_translator

MODULES = (generate, evolution, interpolate, inpaint, denoise, translate, lab)
OPERATIONS = {module.OPERATION.name: module.OPERATION for module in MODULES}
SEVEN = {"strokes": glyphs.DIGITS["7"]}
LINE = [[[-3.0, -3.0], [0.5, 2.0], [3.0, 0.0]]]
RUNS = [
    ("generate", {"count": 4, "seed": 17}),
    ("generate", {"count": 1, "seed": 2, "steps": 3, "solver": "ddim", "start": "gaussian"}),
    ("generate", {"count": 2, "mode": "paper", "steps": 3}),
    ("evolve", {"seed": 5, "frames": 6}),
    ("evolve", {"seed": 6, "frames": 8, "solver": "unipc"}),
    ("interpolate", {"frames": 3}),
    ("interpolate", {"frames": 5, "variance": 1.5, "seed": 9, "steps": 4}),
    ("interpolate", {"frames": 2, "solver": "dpmpp_2m_sde", "mode": "fast"}),
    ("inpaint", {"count": 2, "seed": 3}),
    ("inpaint", {"count": 1, "steps": 4, "solver": "ddim", "paste": True}),
    ("inpaint", {"count": 1, "method": "algorithm2", "steps": 5}),
    ("denoise", {"count": 2, "variance": 0.5}),
    ("denoise", {"count": 1, "seed": 8, "mode": "paper", "steps": 6}),
    ("translate", {"count": 2, "seed": 4, "image": SEVEN, "back": True}),
    ("translate", {"direction": "backward", "steps": 3}),
    ("translate", {"count": 3, "model": "zznoise", "image": None}),
    ("toy", {"particles": 200, "seed": 1}),
    ("toy", {"particles": 200, "dataset": "drawn", "strokes": LINE, "solver": "ddim"}),
    ("toy", {"particles": 100, "mode": "paper", "n1": 5, "n2": 6, "drift": "self-normalised"}),
    ("toy", {"particles": 100, "mode": "paper", "steps": 7, "n3": 2}),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny")
    save_translator(folder / "letters")
    save_translator(folder / "zznoise", sets=("static", "letters"), noise=[True, False])
    return Models(folder, device="cpu")


@pytest.fixture(scope="module")
def uploads(face, face_file, hole_file, tmp_path_factory):
    """What the operations take beside a recipe, as the API hands it over."""
    other = file_of(
        tmp_path_factory.mktemp("b"), "b.png", imaging.to_image(np.roll(face, 3, 0)[:, ::-1])
    )
    pair = {"image_a": face_file, "image_b": other}
    one = {"image": face_file}
    return {
        "interpolate": pair, "inpaint": one | {"mask": hole_file}, "denoise": one, "translate": one
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(models, uploads):
    """Run an operation: its result."""

    def run(name, **options):
        given = uploads.get(name, {}) | options
        *_, result = OPERATIONS[name].start(models, given)
        return result

    return run


@pytest.fixture(scope="module")
def facts(run):
    """A good recipe of two pictures."""
    return run("generate", count=2, seed=3).recipe


@pytest.fixture(scope="module")
def read(models):
    return lambda source: recipe.read(source, OPERATIONS, models)


def again(read):
    """What a recipe names, as its operation takes it."""
    params = OPERATIONS[read.operation]
    return {name: params[name].recall(value) for name, value in read.values.items()}


# ---- the same bytes


@pytest.mark.parametrize(("name", "options"), RUNS, ids=lambda value: json.dumps(value)[:60])
def test_a_run_from_the_recipe_in_its_picture_has_the_same_bytes(
    name, options, run, read, tmp_path
):
    first, operation = run(name, **options), OPERATIONS[name]
    operation.save(first, tmp_path)
    files = sorted(tmp_path.rglob("*.png"))
    assert files
    for path in files:
        found = read(path)
        assert found.operation == name and not found.remarks and not found.differs
        assert {n: found.values[n] for n in options if n != "image"}.items() <= options.items()
        assert not {"image_a", "image_b"} & found.values.keys()
    nothing = {"image": None} if options.get("image", 0) is None else {}
    second = run(name, **again(found) | nothing)
    assert [read(path).verdict(second.recipe) for path in files] == [recipe.SAME] * len(files)
    for path, bytes_again in zip(files, saved(operation, second, tmp_path / "again"), strict=True):
        assert np.array_equal(pixels(str(path)), pixels(str(bytes_again)))


def saved(operation, result, folder):
    operation.save(result, folder)
    return sorted(folder.rglob("*.png"))


def test_a_recipe_names_every_parameter_and_no_file(run, uploads):
    for name, options in RUNS:
        facts = run(name, **options).recipe
        for param in OPERATIONS[name].params:
            told = param.name in facts["parameters"]
            assert told or isinstance(param, Picture) or param.name == "strokes"
        text = json.dumps(facts)
        assert json.loads(text) == facts
        assert not any(file in text for file in ("face", "hole", "b.png", "tmp"))


def test_a_recipe_tells_where_it_comes_from(facts, models):
    assert facts["studio"] == __version__ and facts["device"] == "cpu"
    assert facts["weights"] == models.get().fingerprint
    assert len(facts["pixels"]) == 2 and facts["parameters"]["solver"] is None


def test_a_picture_tells_which_it_is_and_its_own_digest(run, tmp_path):
    result = run("generate", count=3, seed=1)
    files = saved(OPERATIONS["generate"], result, tmp_path)
    own = [json.loads(Image.open(path).text["recipe"]) for path in files]
    assert [one["picture"] for one in own] == [0, 1, 2]
    assert [one["pixels"] for one in own] == result.recipe["pixels"]
    assert [media.digest(Image.open(path)) for path in files] == result.recipe["pixels"]


def test_json_by_path_text_or_bytes_is_read_alike(facts, read, tmp_path):
    text = json.dumps(facts)
    (tmp_path / "a.json").write_text(text)
    found = [read(source) for source in (text, text.encode(), tmp_path / "a.json")]
    assert found[0] == found[1] == found[2] and found[0].values == facts["parameters"]


# ---- other bytes


def test_other_pictures_of_a_recipe_are_told_with_the_reason(facts, read, run, uploads):
    found = read(json.dumps(facts))
    drawn = facts | {"pixels": ["0" * 16]}
    assert found.verdict(facts) == recipe.SAME
    assert found.verdict(drawn) == "other bytes"
    for changes, reason in (
        ({"weights": "0" * 16}, "other weights"),
        ({"studio": "0.1.0"}, "another version"),
        ({"device": "cuda"}, "drawn on cuda, not on cpu"),
    ):
        found = read(json.dumps(facts | changes))
        assert found.verdict(drawn) == f"other bytes: {reason}"
        assert found.verdict(facts) == recipe.SAME
    one = run("denoise", count=1)
    other = run("denoise", count=1, image=uploads["interpolate"]["image_b"])
    told = read(json.dumps(one.recipe)).verdict(other.recipe)
    assert told == "other bytes: perhaps another image"


def test_pictures_that_were_not_asked_for_get_no_verdict(facts, read, run):
    found = read(json.dumps(facts))
    assert found.verdict(run("generate", count=2, seed=4).recipe) == ""
    assert found.verdict(run("evolve", seed=3, frames=4).recipe) == ""
    without = {name: value for name, value in facts.items() if name != "pixels"}
    assert read(json.dumps(without)).verdict(facts) == ""


def test_other_weights_and_versions_and_a_stop_are_said_in_sentences(facts, read):
    for changes, words in (
        ({"weights": "0" * 16}, "other weights of tiny"),
        ({"studio": "0.1.0"}, "drawn by 0.1.0, this is"),
        ({"stopped_at": 146}, "stopped at step 146"),
    ):
        (remark,) = read(json.dumps(facts | changes)).remarks
        assert words in remark and remark.endswith(".")
    assert not read(json.dumps(facts | {"stopped_at": 3})).pixels


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operation": "paint"}, "no operation paint"),
        ({"operation": 7}, "no recipe of the studio"),
        ({"parameters": [1]}, "no recipe of the studio"),
        ({"pixels": {"a": 1}}, "no recipe of the studio"),
        ({"parameters": {"model": "church64"}}, "no model 'church64'; choose tiny"),
        ({"parameters": {"model": "letters"}}, "only translates"),
        ({"parameters": {"model": ["tiny"]}}, "The model must be a name"),
        ({"parameters": {"model": "a" * 5000}}, "no model"),
        ({"parameters": {"colour": 1}}, "sets colour, which generate does not have"),
        ({"parameters": {"count": 17}}, "number of pictures must be a whole number from 1 to 16"),
        ({"parameters": {"count": "a\nb"}}, "got a b"),
        ({"parameters": {"seed": float("nan")}}, "seed must be"),
        ({"parameters": {"mode": {"a": 1}}}, "mode must be one of"),
        ({"operation": "denoise", "parameters": {"image": "/etc/passwd"}}, "holds no uploads"),
        ({"operation": "translate", "parameters": {"image": "/etc/passwd"}}, "holds no uploads"),
        ({"operation": "translate", "parameters": {"image": {"strokes": [1]}}}, "drawing must be"),
        ({"operation": "translate", "parameters": {"back": "yes"}}, "back must be true or false"),
        (
            {"operation": "toy", "parameters": {"dataset": "drawn", "strokes": [[[99, 0]]]}},
            "leaves the canvas",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(changes, words, facts, read):
    with refused(ValueError, words):
        read(json.dumps(facts | changes))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "carries no recipe"),
        (" \n", "carries no recipe"),
        ("{", "no recipe of the studio"),
        ("[]", "no recipe of the studio"),
        ("9" * 5000, "no recipe of the studio"),
        ("[" * 100_000, "no recipe of the studio"),
        ("a" * 300_000, "too long"),
        (b"\xff\xd8\xff\xe0 a JPEG", "no recipe of the studio"),
        (b"\xff" * 300_000, "too long"),
        (recipe.PNG, "carries no recipe"),
        (recipe.PNG + b"\xff\xff\xff\xfftEXtrecipe\0{", "no recipe of the studio"),
        ('{"model": "m", "seed": 1, "solver": "ddim"}', "early version"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_recipe_is_refused_in_a_sentence(source, words, read):
    with refused(ValueError, words):
        read(source)


def test_a_picture_without_a_recipe_says_so(face_file, read):
    with refused(ValueError, r"This picture carries no recipe\."):
        read(Path(face_file))


@given(name=st.sampled_from(sorted(OPERATIONS)), extra=st.dictionaries(st.text(), ANYTHING),
       values=st.lists(ANYTHING, min_size=12, max_size=12))  # fmt: skip
def test_whatever_a_recipe_says_it_is_read_or_refused(name, extra, values, read):
    named = [param.name for param in OPERATIONS[name].params]
    parameters = dict(zip(named, values, strict=False)) | extra
    facts = {"operation": name, "parameters": parameters, "studio": values[0]}
    facts |= {"weights": values[1], "pixels": values[2], "device": values[3]}
    attempt(lambda: read(json.dumps(facts)))


@given(content=st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_refused(content, read):
    for source in (content, recipe.PNG + content, content.decode("latin-1")):
        with pytest.raises(ValueError):
            read(source)


def attempt(call):
    """What is read or refused in a sentence."""
    try:
        return call()
    except ValueError as error:
        text = str(error)
        assert text[0] == text[0].upper() and text.endswith(".") and "\n" not in text
        assert len(text) < 400


# ---- links


@pytest.fixture(scope="module")
def follow(models):
    return lambda query: recipe.follow(query, OPERATIONS, models)


@pytest.mark.parametrize(("name", "options"), RUNS, ids=lambda value: json.dumps(value)[:60])
def test_a_link_restores_what_its_recipe_does(name, options, run, read, follow):
    facts = run(name, **options).recipe
    query = recipe.link(facts)
    assert ".png" not in query and len(query) <= recipe.LONGEST_LINK
    found = follow(dict(parse_qsl(query, keep_blank_values=True)))
    assert found.values == read(json.dumps(facts)).values and found.uploads is not None
    assert (found.operation, found.pixels, found.remarks) == (name, (), [])


def test_a_long_drawing_is_left_out_of_a_link(run, follow):
    line = [[[-3 + k / 100, k % 7 / 5] for k in range(600)]]
    facts = run("toy", particles=50, dataset="drawn", strokes=line).recipe
    assert facts["parameters"]["strokes"] == line
    found = follow(dict(parse_qsl(recipe.link(facts))))
    assert found.values["dataset"] == "drawn" and "strokes" not in found.values


def test_an_address_that_is_no_link_changes_nothing(follow):
    assert follow({}) is None and follow({"__theme": "dark", "seed": "7"}) is None
    found = follow({"op": "generate", "seed": "17", "utm_source": "a", "__theme": "dark"})
    assert found.values == {"seed": 17}  # all else stays as it is
    assert follow({"op": "generate", "model": "tiny", "steps": ""}).values["steps"] is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"op": "paint"}, "no operation paint"),
        ({"op": ""}, "no operation"),
        ({"op": "generate", "seed": "many"}, "seed must be a whole number .* got many"),
        ({"op": "generate", "seed": "NaN"}, "seed must be"),
        ({"op": "generate", "seed": "1e999"}, "seed must be"),
        ({"op": "generate", "seed": "[" * 50_000}, "seed must be"),
        ({"op": "generate", "seed": "1" * 300_000}, "too long"),
        ({"op": "generate", "model": "../../etc"}, "no model '../../etc'"),
        ({"op": "denoise", "image": "/etc/passwd"}, "holds no uploads"),
        ({"op": "toy", "dataset": "drawn", "strokes": "[[7]]"}, "Strokes must be"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_in_a_link_is_refused_in_a_sentence(query, words, follow):
    with refused(ValueError, words):
        follow(query)


@given(name=st.sampled_from(sorted(OPERATIONS)) | st.text(max_size=10),
       texts=st.lists(st.text(max_size=20), min_size=12, max_size=12))  # fmt: skip
def test_whatever_a_link_says_it_is_followed_or_refused(name, texts, follow):
    operation = OPERATIONS.get(name, OPERATIONS["inpaint"])
    named = [param.name for param in operation.params]
    attempt(lambda: follow({"op": name} | dict(zip(named, texts, strict=False))))
