"""Parameters of operations: each knows its control, its HTTP input, its check and its words."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging
from demo.inputs import Dial, Upload, upload
from demo.models import Models
from sbcore import DEFAULTS, SOLVERS

MAX_STEPS = 2000
MAX_SEED = 2**31 - 1
NO_PICTURE = "There is no picture: upload one, or send a face here."
REQUIRED = ...  # the default of a parameter without one


@dataclass(frozen=True)
class Param:
    """A parameter of an operation."""

    name: str
    """As HTTP knows it."""
    default: Any = REQUIRED
    _: KW_ONLY
    said: str = ""
    """As sentences call it: "The number of pictures"."""
    label: str = ""
    """Of its control."""
    help: str = ""
    shown: Any = None
    """Where its control begins, if not at the default."""
    advanced: bool = False
    """Whether its control is in the Advanced accordion."""
    optional: bool = False
    """Whether None and "" mean the default; so they do where the default is None."""
    http: bool = True
    """Whether the endpoint has it; else it is the page's alone."""
    page: bool = True
    """Whether the tab makes a control for it."""

    @property
    def title(self) -> str:
        """What sentences begin with."""
        return self.said or f"The {self.name}"

    @property
    def start(self) -> Any:
        """Value that its control begins with."""
        return self.default if self.shown is None else self.shown

    def check(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The value, converted; ``given`` are the parameters checked before it, the model first.

        Raises:
            ValueError: If it cannot be used; one sentence that names it.
        """
        if value in (None, "") and (self.optional or self.default is None):
            return self.default
        return self.convert(value, given)

    def convert(self, value: Any, given: Mapping[str, Any]) -> Any:
        """`check` of a value that is there."""
        raise NotImplementedError

    def control(self) -> Any:
        """Its component on a tab."""
        raise NotImplementedError

    def endpoint(self) -> Any:
        """Its component in the HTTP API."""
        return gr.Textbox(self.default, label=self.name)

    def kind(self) -> str:
        """What it takes, in words."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line of documentation."""
        return f"{self.name}: {self.kind()}{f'; {self.help}' if self.help else ''}"


@dataclass(frozen=True)
class Number(Param):
    """A finite number in [least, most]."""

    least: float = 0.0
    most: float = 1.0
    span: tuple[float, float, float] | None = None
    """Ends and step of its slider; None for a plain field."""

    def convert(self, value: Any, given: Mapping[str, Any]) -> float:
        """A finite number in range."""
        most = self.limit(given)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.least <= value <= most:  # NaN is in no range
            raise ValueError(self._refusal("a number", most, value))
        return float(value)

    def limit(self, given: Mapping[str, Any]) -> float:
        """The most that it may be."""
        return self.most

    def _refusal(self, kind: str, most: float, value: Any) -> str:
        return f"{self.title} must be {kind} from {self.least:g} to {most:.10g}, got {value!s:.40}."

    def control(self) -> Any:
        """A slider, or a field."""
        words = {"label": self.label or self.name, "info": self.help or None}
        if self.span is None:
            return gr.Number(self.start, precision=0, **words)
        least, most, step = self.span
        return Dial(least, most, value=self.start, step=step, **words)

    def endpoint(self) -> Any:
        """A number of any size: the check is ours."""
        return gr.Number(self.default, label=self.name)

    def kind(self) -> str:
        """Its range."""
        return f"a number from {self.least:g} to {self.most:.10g}"


@dataclass(frozen=True)
class Variance(Number):
    """Variance of noise in a picture; at most that of the model's smoothing."""

    def limit(self, given: Mapping[str, Any]) -> float:
        """sigma^2 of the model."""
        return given["model"].sigma ** 2

    def kind(self) -> str:
        """Its range."""
        return f"a number from {self.least:g} to sigma² of the model"


@dataclass(frozen=True)
class Whole(Number):
    """A whole number in [least, most]."""

    offered: Sequence[int] = ()
    """The few that the tab offers."""

    def convert(self, value: Any, given: Mapping[str, Any]) -> int:
        """A whole number in range."""
        try:
            fits = self.least <= value <= self.most and value == int(value)
        except TypeError:
            fits = False
        if not fits or isinstance(value, bool):
            raise ValueError(self._refusal("a whole number", self.most, value))
        return int(value)

    def control(self) -> Any:
        """A row of buttons where few are offered, else a slider or a field."""
        if not self.offered:
            return super().control()
        return gr.Radio(list(self.offered), value=self.start, label=self.label)

    def kind(self) -> str:
        """Its range."""
        return f"a whole number from {self.least:g} to {self.most:.10g}"


@dataclass(frozen=True)
class Steps(Whole):
    """Number of network evaluations; none and 0 mean the default."""

    name: str = "steps"
    default: Any = None
    said: str = "The number of steps"
    label: str = "Network evaluations"
    shown: Any = 0
    least: float = 1
    most: float = MAX_STEPS
    advanced: bool = True

    def convert(self, value: Any, given: Mapping[str, Any]) -> int | None:
        """A whole number in range, or None for the default."""
        return None if value == 0 and value is not False else super().convert(value, given)


def steps(task: str, **options: Any) -> Steps:
    """Evaluations of a task, its default named below the slider."""
    return Steps(span=(0, 60, 1), help=f"0: the default, {DEFAULTS[task].steps}", **options)


@dataclass(frozen=True)
class Seed(Whole):
    """Seed of the first picture."""

    name: str = "seed"
    default: Any = 0
    label: str = "Seed"
    most: float = MAX_SEED
    fresh: bool = False
    """Whether the tab offers a new one for each run."""

    @staticmethod
    def new() -> int:
        """One that nobody has chosen."""
        return secrets.randbelow(1_000_000)


@dataclass(frozen=True)
class Choice(Param):
    """One of several names."""

    choices: Mapping[str, str] | Sequence[str] = ()
    """By what the tab calls them."""
    menu: bool = False
    """Whether the tab has a menu for them, else buttons."""

    @property
    def names(self) -> list[str]:
        """The names."""
        return list(self.choices.values() if isinstance(self.choices, Mapping) else self.choices)

    def convert(self, value: Any, given: Mapping[str, Any]) -> str:
        """One of the names."""
        if value not in self.names:
            raise ValueError(f"{self.title} must be {self.kind()}; got {value!s:.40}.")
        return value

    def control(self) -> Any:
        """A menu or buttons; an empty entry for the default where there is one."""
        titles = self.choices if isinstance(self.choices, Mapping) else {n: n for n in self.names}
        offered = [("default", "")] * (self.default is None) + list(titles.items())
        kind, start = gr.Dropdown if self.menu else gr.Radio, self.start or ""
        return kind(offered, value=start, label=self.label, info=self.help or None)

    def kind(self) -> str:
        """The names."""
        return f"one of {', '.join(self.names)}"


def solver(label: str = "Solver", **options: Any) -> Choice:
    """Choice of a solver; none for the default of the task."""
    titles = {one.title: one.name for one in SOLVERS.values()}
    return Choice("solver", None, label=label, choices=titles, menu=True, advanced=True, **options)


def mode(paper: str, **options: Any) -> Choice:
    """Choice of fast or paper mode."""
    choices = {"fast": "fast", paper: "paper"}
    return Choice("mode", "fast", label="Mode", choices=choices, advanced=True, **options)


def mode_of_both_stages() -> Choice:
    """`mode` of a run from the point mass."""
    return mode("paper: Algorithm 1, 2,000 steps", help="Paper mode takes minutes; Stop works.")


@dataclass(frozen=True)
class Given(Param):
    """What a part of the page hands over, to be looked at by the run itself."""

    def convert(self, value: Any, given: Mapping[str, Any]) -> Any:
        """As it is."""
        return value


@dataclass(frozen=True)
class Model(Param):
    """Name of a model on offer; the page has a picker for all tabs."""

    name: str = "model"
    default: Any = None
    help: str = "none for the first on offer"
    translates: bool = False

    def load(self, models: Models, value: Any) -> Any:
        """The model itself."""
        return (models.translation if self.translates else models.get)(value or None)

    def kind(self) -> str:
        """What it takes."""
        return "the name of a model"


def check(
    declared: Sequence[Param], given: Mapping[str, Any], models: Models | None = None
) -> dict[str, Any]:
    """Convert all values, the model first; those that are not given have their defaults.

    Raises:
        ValueError: If one cannot be used; one sentence that names it.
    """
    checked: dict[str, Any] = {}
    for param in sorted(declared, key=lambda param: not isinstance(param, Model)):
        value = given.get(param.name, None if param.default is REQUIRED else param.default)
        if isinstance(param, Model):
            checked[param.name] = param.load(models, value)
        else:
            checked[param.name] = param.check(value, checked)
    return checked


@dataclass(frozen=True)
class Picture(Param):
    """A picture of any size, cut to what the model sees: an `imaging.Photo`."""

    absent: str = ""
    """What is said where there is none; by default the page's or the API's own sentence."""

    def check(self, value: Any, given: Mapping[str, Any]) -> imaging.Photo:
        """Open it and cut it to the model's size."""
        if value is None and self.absent:
            raise ValueError(self.absent)
        channels, size, _ = given["model"].shape
        with imaging.about(self.said or self.name):
            return imaging.Photo.of(value, size, channels)

    def control(self) -> Any:
        """Upload, camera or clipboard."""
        return upload(self.label)

    def endpoint(self) -> Any:
        """A file, which Gradio checks to be an upload."""
        return Upload(label=self.name, type="filepath")

    def kind(self) -> str:
        """What it takes."""
        return "a PNG, JPEG, WebP, BMP or GIF file"


@dataclass(frozen=True)
class Mask(Picture):
    """The hole in a picture, boolean (size, size): white pixels of a file, or paint of the editor.

    Nothing marked is refused.
    """

    of: str = "image"
    """The picture that it belongs to."""

    def check(self, value: Any, given: Mapping[str, Any]) -> np.ndarray:
        """Read it at the model's size."""
        photo, size = given[self.of], given["model"].shape[-1]
        if isinstance(value, dict):
            hole = imaging.hole_from_editor(value, size)
        else:
            with imaging.about(self.name):
                hole = imaging.hole_from_picture(value, size, photo.whole.size)
        imaging.check_hole(hole)
        return hole
