"""An operation, declared once: from it come its tab's controls, its endpoint, its checks.

What it does is a generator of its parameters by name, which yields an `Update` now and then and
ends with a `Result`. Leaving it stops the engine before its next network call.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo import media, recipe
from demo.models import Models
from demo.params import REQUIRED, Param, check
from demo.runs import Result, Update
from demo.server.budget import BUDGET, PACE
from demo.server.queue import QUEUE
from demo.server.turns import Waiting
from demo.wiring import brief_session, sentences, shared, visitor
from demo.zero import on_gpu


@dataclass(frozen=True)
class Pictures:
    """Output: PNG files that carry the recipe."""

    name: str = "pictures"
    component = gr.Files

    def save(self, pictures: Sequence[Any], folder: Path, facts: dict[str, Any]) -> list[str]:
        """Write the files into a folder: their paths."""
        save = partial(media.save_png, folder=folder)
        numbered = enumerate(pictures)
        return [str(save(p, name=f"{i:02d}", info=facts | {"picture": i})) for i, p in numbered]


@dataclass(frozen=True)
class Picture:
    """Output: one PNG file that carries the recipe."""

    name: str
    file: str
    component = gr.File

    def save(self, picture: Any, folder: Path, facts: dict[str, Any]) -> str:
        """Write the file into a folder: its path."""
        return str(media.save_png(picture, folder, self.file, facts | {"picture": self.name}))


@dataclass(frozen=True)
class Film:
    """Output: an animation of frames."""

    file: str
    boomerang: bool = False
    kind: str = "mp4"
    """One of `media.FILMS`."""
    name: str = "animation"
    component = gr.File

    def save(self, frames: Sequence[Any], folder: Path, facts: dict[str, Any]) -> str:
        """Write the file into a folder: its path."""
        name = f"{self.file}-{facts['seed']}"
        options = {"boomerang": self.boomerang, "kind": self.kind}
        return str(media.animation(frames, folder, name, **options))


@dataclass(frozen=True)
class Operation:
    """Something that the studio does."""

    name: str
    """Of its endpoint."""
    doc: str
    """Of its endpoint: what it does and returns."""
    params: Sequence[Param]
    outputs: Sequence[Pictures | Picture | Film]
    run: Callable[..., Iterator[Update | Result]]
    cost: Callable[..., int] | None = None
    """By some of the parameters: network evaluations times pictures; None: hardly any."""
    repeats: bool = True
    """Whether a recipe can draw its results again; it is published then."""

    def __getitem__(self, name: str) -> Param:
        """A parameter."""
        return next(param for param in self.params if param.name == name)

    @property
    def example(self) -> dict[str, Any]:
        """Parameters of an example call by name: those that it cannot do without, and a seed."""
        return {one.name: one.example for one in self.params if one.example is not None}

    def command(self) -> str:
        """An example of its command line."""
        given = (f"--{name.replace('_', '-')} {value}" for name, value in self.example.items())
        return f"python -m demo {self.name} {' '.join(given)} --out results"

    def start(self, models: Models, given: Mapping[str, Any]) -> Iterator[Update | Result]:
        """Check the parameters and the budget, and run; errors as theirs."""
        values = check(self.params, given, models)
        if self.cost:
            BUDGET.spend(self.price_of(values), visitor())
        return self.recorded(self.run(**values), values)

    @property
    def priced(self) -> list[str]:
        """The parameters that decide the cost."""
        return list(inspect.signature(self.cost).parameters) if self.cost else []

    def price_of(self, values: Mapping[str, Any]) -> int:
        """The cost of a run with these checked parameters."""
        return self.cost(**{name: values[name] for name in self.priced}) if self.cost else 0

    def recorded(self, run: Iterable[Any], values: Mapping[str, Any]) -> Iterator[Any]:
        """Hand on a run with these checked parameters; its result gets their recipe."""
        for moment in run:
            if isinstance(moment, Result) and moment.report.stopped_at is None:
                PACE.learn(self.name, self.price_of(values), moment.report.seconds)
            if isinstance(moment, Result) and self.repeats:
                origin = recipe.origin(self.name, self.params, values)
                origin["pixels"] = media.digests(moment.outputs.values())
                moment = replace(moment, origin=origin)
            yield moment

    def result(self, **given: Any) -> Result:
        """Run to the end, by default values where none is given; nothing is checked."""
        values = {param.name: param.default for param in self.params} | given
        *_, result = self.recorded(self.run(**values), values)
        return result

    def save(self, result: Result, folder: Path) -> list[Any]:
        """Write all outputs into a folder: their paths."""
        facts = result.recipe
        return [one.save(result.outputs[one.name], folder, facts) for one in self.outputs]

    def publish(self, models: Models) -> None:
        """Add its endpoint to the Blocks that is being built.

        Invisible components carry its pictures: Gradio then checks that an input file was really
        uploaded. Every call ends with a report.
        """
        params = [param for param in self.params if param.http]
        names = [param.name for param in params]
        nothing = (None,) * len(self.outputs)

        @on_gpu
        def moments(*values: Any) -> Iterator[Result | float]:
            with sentences():
                for moment in self.start(models, dict(zip(names, values, strict=True))):
                    yield moment if isinstance(moment, Result) else round(moment.fraction, 3)

        def answers(folder: Path, values: Sequence[Any]) -> Iterator[Any]:
            for moment in moments(*values):
                if isinstance(moment, Result):
                    yield *self.save(moment, folder), moment.report.facts()
                else:  # a yield between evaluations is where a cancelled call stops
                    yield *nothing, {"progress": moment}

        def call(*values: Any) -> Iterator[Any]:
            with sentences(), brief_session(), downloads() as folder:
                latest = nothing
                for answer in shared(answers(folder, values)):
                    if not isinstance(answer, Waiting):
                        latest = answer
                    elif answer.before:
                        latest = *nothing, {"waiting": str(answer)}
                    yield latest  # what is yielded last is the answer of the call

        listed = [param.describe() for param in params]
        call.__name__, call.__annotations__ = self.name, {}
        call.__doc__ = "\n  ".join(["Args:", *listed])  # of an MCP tool, beside the description
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    param.name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=inspect.Parameter.empty if param.default is REQUIRED else param.default,
                )
                for param in params
            ]
        )
        described = "\n".join([f"{self.doc}\n", *(f"- {one}" for one in listed)])
        with gr.Column(visible=False):
            inputs = [param.endpoint() for param in params]
            outputs = [one.component(label=one.name) for one in self.outputs]
            gr.Button(visible=False).click(
                call,
                inputs,
                [*outputs, gr.JSON(label="report")],
                api_name=self.name,
                api_description=described,
                api_visibility="public",
                **QUEUE,
            )


@contextmanager
def downloads() -> Iterator[Path]:
    """A folder for files to download; Gradio copies them when they are yielded."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
