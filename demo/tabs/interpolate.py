"""The Interpolate tab: one picture morphs into another, or along a path through three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import live, media, morphs, params, runs, tab, views, wiring
from demo.operation import Film, Operation, Picture, Pictures
from demo.photos.box import Given, PhotoBox, reopened
from demo.photos.candidates import Candidates, CandidatesView, Filled
from demo.photos.export import PhotoExport
from demo.photos.photo import Photo
from demo.runs import Report, Result, Update
from demo.tabs import generate
from demo.typical import unlike
from sbcore import Bridge

PICTURES = {"image_a": "A", "image_b": "B", "image_c": "C"}
METHODS = {"From A to B exactly": "inversion", "The paper's, with noise": "shared noise"}
WAYS = {"inversion": "exact ends", "shared noise": "the paper's", "mix": "plain pixel mix"}
METHOD_INFO = (
    "Exact: both pictures are traced back to noise, mixed there, and drawn again. The paper's: "
    "their pixel mix plus noise, cleaned; its ends are other faces."
)


@dataclass(frozen=True, kw_only=True)
class Morphed(Report):
    """Report of a morph."""

    frames: int
    method: str
    variance: float | None
    """Of the shared noise, if that is the method."""
    psnr: list[float]
    """Of the frames that should be the given pictures, in dB."""


@dataclass(frozen=True)
class Morph:
    """A morph, each frame (h, w, c) in [0, 1]."""

    frames: list[np.ndarray]
    given: list[np.ndarray]
    """The pictures that it goes through, in order."""

    def labels(self) -> list[str]:
        """How far each frame is on its way: "50 % of B"."""
        places = morphs.places(len(self.given), len(self.frames))
        arrived = ((left - 1, 1) if left and not share else (left, share) for left, share in places)
        return [f"{100 * share:.0f} % of {'BC'[left]}" for left, share in arrived]

    def mix(self) -> list[np.ndarray]:
        """The plain pixel mix, for comparison."""
        return morphs.mixes(self.given, len(self.frames))

    def psnr(self) -> list[float]:
        """How exactly the given pictures are met, in dB."""
        places = morphs.places(len(self.given), len(self.frames))
        met = [frame for frame, (_, c) in zip(self.frames, places, strict=True) if c in (0, 1)]
        return [round(morphs.psnr(*pair), 1) for pair in zip(met, self.given, strict=True)]


def interpolate(
    model: Bridge,
    image_a: Photo,
    image_b: Photo,
    image_c: Photo | None,
    frames: int,
    variance: float,
    seed: int,
    method: str,
    **options: Any,
) -> Iterator[Update | Result]:
    """Morph from picture to picture; options as of `Bridge.interpolate`."""
    photos = [photo for photo in (image_a, image_b, image_c) if photo is not None]
    a, b, *more = (runs.to_engine(photo.seen) for photo in photos)
    how = {"more": more, "method": method, **options}
    given = [photo.seen for photo in photos]
    for update in runs.watch(model.interpolate(a, b, frames, variance, seed, **how)):
        morph = Morph(runs.preview(update.step), given)
        if not update.step.final:
            yield update.showing(morph)
    task = "inversion" if method == "inversion" else "interpolate"
    report = Morphed.of(
        update,
        **runs.origin(model, task, seed, **options),
        frames=frames,
        method=method,
        variance=variance if method == "shared noise" else None,
        psnr=morph.psnr(),
    )
    pictures = morph.frames
    outputs = {"pictures": pictures, "animation": pictures, "film strip": strip(morph)}
    yield Result(morph, outputs, report, note(model, photos, report))


def note(model: Bridge, photos: list[Photo], report: Morphed) -> str:
    """How exactly the pictures are met, and which of them are no faces."""
    letters = list(PICTURES.values())[: len(photos)]
    met = ", ".join(f"at {x} {db:.0f} dB" for x, db in zip(letters, report.psnr, strict=True))
    pairs = zip(photos, letters, strict=True)
    warnings = [unlike(model, photo, f"Picture {letter}") for photo, letter in pairs]
    return " ".join([f"PSNR {met}.", *filter(None, warnings)])


def compare(model: Bridge, **given: Any) -> Iterator[Update | Result]:
    """The same frames in every way, one below the other."""
    found: dict[str, list[np.ndarray]] = {}
    for method in METHODS.values():
        moments = interpolate(model, method=method, steps=None, solver=None, mode="fast", **given)
        for moment in moments:
            if isinstance(moment, Update):
                yield replace(moment, shown=None)
        found[method] = moment.shown.frames
    morph = moment.shown
    found["mix"] = morph.mix()
    frames, labels = [*chain.from_iterable(found.values())], morph.labels() * len(found)
    groups = [(WAYS[name], len(one)) for name, one in found.items()]
    sheet = media.film_strip(frames, labels, groups, columns=len(morph.frames))
    report = replace(moment.report, method="all")
    yield Result(sheet, {"sheet": sheet}, report)


def _picture(name: str, letter: str, **options: Any) -> params.Picture:
    return params.Picture(name, said=f"Picture {letter}", label=letter, **options)


def _needed(name: str, letter: str) -> params.Picture:
    absent = f"Picture {letter} is missing: upload one, or send a face here."
    return _picture(name, letter, absent=absent)


GIVEN = [
    _needed("image_a", "A"),
    _needed("image_b", "B"),
    params.Whole("frames", 9, 2, 33, (3, 33, 2), said="The number of frames", label="Frames"),
    params.Variance(
        "variance", 0.4, 0.001, span=(0.05, 4.0, 0.05), advanced=True,
        said="The noise variance", label="Noise of the paper's way",
        help="Its variance: more noise, a freer morph; the paper uses 0.4.",
    ),
    params.Seed(label="Seed of the noise", advanced=True),
    params.Model(),
]  # fmt: skip
NOISE = ["variance", "seed"]  # parameters of the paper's way alone
THIRD = _picture("image_c", "C, if you like", default=None, optional=True)
OPERATION = Operation(
    "interpolate",
    """Morph one picture into another, or into a second and on into a third.

    Returns the frames as PNG files, an animation and a report. ``method`` is "shared noise", the
    paper's, or "inversion", whose first and last frame are the given pictures.""",
    params=[
        *GIVEN,
        params.Choice(
            "method", "shared noise", choices=METHODS, shown="inversion", label="How",
            help=METHOD_INFO,
        ),
        THIRD,
        params.Steps(span=(0, 60, 1), help="0: the default of the method", http=False),
        params.solver(http=False),
        params.mode("paper: Euler-Maruyama", http=False),
    ],
    outputs=[Pictures(), Film("morph", boomerang=True)],
    run=interpolate,
    cost=lambda frames, steps, mode: frames * runs.evaluations("interpolate", steps, mode),
)  # fmt: skip
COMPARISON = Operation(
    "compare",
    "The same morph in every way, as one picture.",
    params=[*GIVEN, THIRD],
    outputs=[Picture("sheet", "ways")],
    run=compare,
    repeats=False,
)


def film(morph: Morph) -> str:
    """The film for the player; it opens in the middle."""
    ends = ("A", "", "ABC"[len(morph.given) - 1])
    middle = len(morph.frames) // 2
    options = {"ends": ends, "start": middle, "keeps": True}
    return views.film({"morph": morph.frames}, morph.labels(), **options)


def strip(morph: Morph) -> Image.Image:
    """All frames in a row."""
    return media.film_strip(morph.frames, morph.labels())


def show(moment: Update | Result) -> tuple[Any, ...]:
    """Film, and in the end its strip, how evenly it goes, and the plain mix."""
    morph = moment.shown
    if isinstance(moment, Update):
        return film(morph), gr.skip(), gr.skip()
    changes = morphs.chart(morphs.distances(morph.frames), morphs.distances(morph.mix()))
    row = media.with_recipe(moment.outputs["film strip"], moment.recipe)
    return film(morph), row, changes


def draft(given: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a draft: instant mode, which the exact way does not have."""
    differs = given["mode"] == "fast" and given["method"] == "shared noise"
    return {"mode": "instant"} if differs else {}


def put_back(share: float, document: Any, last: Result | None) -> tuple[Any, str]:
    """A frame of the last morph in the place of the face in photo A."""
    if document is None or last is None:
        raise ValueError("There is no morph yet that could be put into photo A.")
    frames = last.outputs["pictures"]
    index = round(float(share) / 100 * (len(frames) - 1))
    size, _, channels = frames[index].shape
    filled = Filled.faces(Photo.document(document, size, channels), [frames[index]], final=True)
    label = f"frame {index + 1} of {len(frames)}"
    note = f"{label}, in photo A: keep it there, or download the photo."
    return Candidates(filled, "interpolate-a", [label]), views.note_html(note)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    pictures = dict.fromkeys(PICTURES)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            with tab.given():
                for name in ("image_a", "image_b"):
                    pictures[name] = _box(name)
                swap = gr.Button("Swap A and B", size="sm")
                gr.Markdown("or two of these faces, drawn by the model", elem_classes="note")
                faces = views.face_grid_component(elem_id="interpolate-samples")
                with gr.Accordion("A third picture", open=False):
                    pictures["image_c"] = _box("image_c")
            form = tab.Form(OPERATION.params, model=studio.model, **pictures)
            form.add()
            wanted = live.switch("Morph as I move a slider")
            buttons, status = tab.go("Interpolate")
            form.advanced()
        with tab.stage():
            player = views.film_component(elem_id="interpolate-player", min_height=480)
            changes = gr.HTML("", elem_id="interpolate-changes", min_height=90)
            morph = views.strip_view("Morph")
            with gr.Accordion("In photo A", open=False):
                share = gr.Slider(0, 100, 50, step=1, label="How much of B, in percent")
                place = gr.Button("Put this face into photo A", size="sm")
                placed = CandidatesView(elem_id="interpolate-placed")
            with gr.Accordion("Three ways, one below the other", open=False):
                comparing = (
                    gr.Button("Compare the three ways", size="sm"),
                    gr.Button("Stop", variant="stop", size="sm", visible=False),
                )
                ways = views.strip_view("Three ways")
            export = PhotoExport(OPERATION, pictures["image_a"], Picture("film strip", "strip"))
    samples, shown = gr.State(views.Drawn([])), [player, morph, changes]
    parts = studio, OPERATION, form, buttons, status, shown, show, export
    for name in NOISE:  # whoever moves it wants to see what it does
        form[name].input(None, None, form["method"], js="() => 'shared noise'", **wiring.QUIET)
    names = ["frames", "method", *NOISE]
    move = {"moves": [form[name].input for name in names], "names": names}
    live.follow(*parts, tab.operate(*parts), wanted=wanted, draft=draft, **move)
    tab.operate(studio, COMPARISON, form, comparing, status, [ways], lambda moment: (moment.shown,))
    _wire_pictures(studio, pictures, swap, status)
    place.click(
        wiring.attempt(put_back, 2), [share, pictures["image_a"], export.last], [placed, status],
        **wiring.QUIET,
    )  # fmt: skip

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn = generate.faces(bridge)
        a, b = (Photo.drawn(face) for face in drawn[:2])
        result = OPERATION.result(model=bridge, image_a=a, image_b=b, method="inversion")
        picks = views.samples(drawn, (("a", "A"), ("b", "B")))
        noise = gr.update(maximum=bridge.sigma**2)
        boxes = [Given(face, example=True) for face in drawn[:2]]
        shown = *show(result), export.keep(result), tab.finished(result)
        return *picks, *boxes, noise, *shown

    fills = [faces, samples, *_pair(pictures), form["variance"], *shown, export.last]
    offers, accepts = [(faces, samples)], _accepts(pictures)
    return tab.Tab(status, OPERATION, worked, fills, accepts, offers, form, buttons[0])


def _box(name: str) -> PhotoBox:
    return PhotoBox(PICTURES[name][0], name.replace("image_", "interpolate-"))


def _pair(pictures: dict[str, Any]) -> list[Any]:
    return [pictures["image_a"], pictures["image_b"]]


HINT = "Picture {letter} is set; now press Interpolate."


def _accepts(pictures: dict[str, Any]) -> dict[str, tab.Accepts]:
    """A face as A or as B."""
    return {
        PICTURES[name].lower(): tab.Accepts(
            [pictures[name]],
            lambda sent: [Given(sent.picture)],
            HINT.format(letter=PICTURES[name]),
        )
        for name in ("image_a", "image_b")
    }


def _wire_pictures(
    studio: tab.Studio, pictures: dict[str, Any], swap: gr.Button, status: gr.HTML
) -> None:
    """Look at each upload; swap the first two."""
    for name, letter in PICTURES.items():
        hint = HINT.format(letter=letter)
        tab.opens(studio, pictures[name], status, hint)

    def swapped(model: str, a: Any, b: Any) -> tuple[Any, Any, Any]:
        size = studio.models.get(model).shape[-1]
        return reopened(b, size), reopened(a, size), gr.skip()

    pair = _pair(pictures)
    swap.click(wiring.attempt(swapped, 3), [studio.model, *pair], [*pair, status], **wiring.QUIET)
