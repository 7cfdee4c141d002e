"""Parameters of operations: each knows its control, its HTTP input, its check and its words."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any

import gradio as gr

from demo import imaging
from demo.imaging import told
from demo.inputs import Dial, Upload
from demo.models import Models
from demo.photos.box import PhotoBox
from demo.photos.crop import Crop
from demo.photos.mask import Mask
from demo.photos.photo import Photo
from sbcore import DEFAULTS, SOLVERS

MAX_STEPS = 2000
MAX_SEED = 2**31 - 1
REQUIRED = ...  # the default of a parameter without one


def is_absent(value: Any) -> bool:
    """Whether nothing was given."""
    return value is None or (isinstance(value, str) and not value)


def is_number(value: Any) -> bool:
    """Whether it is a real number; a boolean is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


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
    def example(self) -> Any:
        """Its value in the example of a call; None: it is left out there."""
        return None

    @property
    def start(self) -> Any:
        """Value that its control begins with."""
        return self.default if self.shown is None else self.shown

    def check(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The value, converted; ``given`` are the parameters checked before it, the model first.

        Raises:
            ValueError: If it cannot be used; one sentence that names it.
        """
        if is_absent(value) and (self.optional or self.default is None):
            return self.default
        return self.convert(value, given)

    def convert(self, value: Any, given: Mapping[str, Any]) -> Any:
        """`check` of a value that is there."""
        raise NotImplementedError

    def facts(self, value: Any) -> dict[str, Any]:
        """What a recipe says of a checked value, as JSON by name; nothing of an upload."""
        return {self.name: value}

    def recall(self, fact: Any) -> Any:
        """What a recipe says of it, as `check` takes it.

        Raises:
            ValueError: If no recipe says so; one sentence.
        """
        return fact

    def parse(self, text: str) -> Any:
        """What a link says of it, as a recipe does."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    def shown_as(self, value: Any) -> Any:
        """What its control shows for a checked value."""
        return value

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
        if not is_number(value) or not self.least <= value <= most:  # NaN is in no range
            raise ValueError(self._refusal("a number", most, value))
        return float(value)

    def limit(self, given: Mapping[str, Any]) -> float:
        """The most that it may be."""
        return self.most

    def _refusal(self, kind: str, most: float, value: Any) -> str:
        return f"{self.title} must be {kind} from {self.least:g} to {most:.10g}, got {told(value)}."

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
        fits = is_number(value) and self.least <= value <= self.most
        if not fits or value != int(value):
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
        return None if is_number(value) and value == 0 else super().convert(value, given)

    def shown_as(self, value: int | None) -> int:
        """0 for the default."""
        return value or 0


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

    @property
    def example(self) -> int:
        """Any."""
        return 17

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
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(f"{self.title} must be {self.kind()}; got {told(value)}.")
        return value

    def parse(self, text: str) -> str:
        """The name."""
        return text

    def shown_as(self, value: str | None) -> str:
        """The empty entry for the default."""
        return value or ""

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


def mode(paper: str = "", instant: bool = True, **options: Any) -> Choice:
    """Choice of fast, instant or paper mode."""
    choices = {"fast": "fast"}
    if instant:
        choices["instant: two or three evaluations"] = "instant"
    if paper:
        choices[paper] = "paper"
    return Choice("mode", "fast", label="Mode", choices=choices, advanced=True, **options)


def mode_of_both_stages(**options: Any) -> Choice:
    """`mode` of a run from the point mass."""
    slow = "Paper mode takes minutes; Stop works."
    return mode("paper: Algorithm 1, 2,000 steps", help=slow, **options)


@dataclass(frozen=True)
class Model(Param):
    """Name of a model on offer; the page has a picker for all tabs."""

    name: str = "model"
    default: Any = None
    help: str = "none for the first on offer"
    translates: bool = False

    def load(self, models: Models, value: Any) -> Any:
        """The model itself."""
        if not isinstance(value, str | None):
            raise ValueError(f"The model must be a name, got {told(value)}.")
        return (models.translation if self.translates else models.get)(value or None)

    def facts(self, value: Any) -> dict[str, Any]:
        """Its name."""
        return {self.name: value.name}

    def parse(self, text: str) -> str:
        """The name."""
        return text

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
    """A picture of any size: a `Photo`, with the crop that the model sees."""

    absent: str = ""
    """What is said where there is none; by default the page's or the API's own sentence."""

    @property
    def example(self) -> str | None:
        """The name of a file, where there must be one."""
        return f"{self.name}.png" if self.default is REQUIRED else None

    def check(self, value: Any, given: Mapping[str, Any]) -> Photo | None:
        """Open it, of the page a document, else a file; None where it may be left out."""
        if value is None and self.optional:
            return None
        if value is None and self.absent:
            raise ValueError(self.absent)
        channels, size, _ = given["model"].shape
        with imaging.about(self.said or self.name):
            if isinstance(value, dict):
                return Photo.document(value, size, channels)
            return Photo.of(value, size, channels)

    def facts(self, value: Any) -> dict[str, Any]:
        """Nothing: an upload stays where it is."""
        return {}

    def recall(self, fact: Any) -> Any:
        """None can be."""
        raise ValueError(f"A recipe holds no uploads, but this one sets {self.name}.")

    def control(self) -> Any:
        """The photo component."""
        return PhotoBox(self.label, self.name)

    def endpoint(self) -> Any:
        """A file, which Gradio checks to be an upload."""
        return Upload(label=self.name, type="filepath")

    def kind(self) -> str:
        """What it takes."""
        return "a picture file, up to 50 megapixels"


@dataclass(frozen=True)
class Painted(Picture):
    """The mask of a picture, a `Mask`: white pixels of a file, or paint of the photo component."""

    of: str = "image"
    """The picture that it belongs to."""

    def check(self, value: Any, given: Mapping[str, Any]) -> Mask:
        """Read it; that of a recipe has no picture yet."""
        if isinstance(value, dict):
            painted = value.get("mask") if "file" in value else value
            return Mask.of_document(painted, given.get(self.of))
        with imaging.about(self.name):
            return Mask.of_picture(value, given[self.of])

    def facts(self, value: Mask) -> dict[str, Any]:
        """The mask itself: it is no picture."""
        return {self.name: value.encoded}

    def recall(self, fact: Any) -> Any:
        """As the photo component holds it."""
        return fact if isinstance(fact, dict) else {}

    def shown_as(self, value: Any) -> dict[str, Any]:
        """What the photo component restores."""
        return {"mask": value}


@dataclass(frozen=True)
class Region(Param):
    """The crop of a picture; none: as the photo component says, or where its face is."""

    default: Any = None
    of: str = "image"
    """The picture that it belongs to."""

    def check(self, value: Any, given: Mapping[str, Any]) -> Crop | None:
        """A crop that lies in the picture; that of a recipe has no picture yet."""
        photo = given.get(self.of)
        with suppress(TypeError, ValueError):
            value = json.loads(value)
        if is_absent(value) or (isinstance(value, dict) and (not value or "file" in value)):
            return photo and photo.crop
        return Crop.of(value, photo.whole.size if photo else None)

    def facts(self, value: Crop | None) -> dict[str, Any]:
        """As JSON."""
        return {self.name: value.facts()} if value else {}

    def shown_as(self, value: Any) -> dict[str, Any]:
        """What the photo component restores."""
        return {"crop": value}

    def endpoint(self) -> Any:
        """JSON."""
        return gr.JSON(None, label=self.name)

    def kind(self) -> str:
        """What it takes."""
        return "JSON {x, y, side, angle}: centre and side in pixels of the picture, degrees"


@dataclass(frozen=True)
class Switch(Param):
    """Yes or no."""

    default: Any = False

    def convert(self, value: Any, given: Mapping[str, Any]) -> bool:
        """A boolean."""
        if not isinstance(value, bool):
            raise ValueError(f"{self.title} must be true or false, got {told(value)}.")
        return value

    def control(self) -> Any:
        """A box to tick."""
        return gr.Checkbox(self.start, label=self.label, info=self.help or None)

    def endpoint(self) -> Any:
        """The same."""
        return gr.Checkbox(self.default, label=self.name)

    def kind(self) -> str:
        """Its values."""
        return "true or false"
