"""The page: header, tabs, the gate for what comes in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta
from starlette.middleware import Middleware

from demo import assets, imaging, keys, restore, transfer
from demo.link_preview import LinkPreview
from demo.models import Models
from demo.reference import Reference
from demo.server import logs
from demo.server.gate import Gate
from demo.server.queue import CAPACITY, Door
from demo.server.turns import TURNS
from demo.tab import Studio, Tab
from demo.tabs import about, denoise, evolution, generate, inpaint, interpolate, lab, translate
from demo.theme import THEME
from demo.wiring import QUIET, attempt
from sbcore import CheckpointError, __version__

TITLE = "Schrödinger Bridge Studio"
PROMISE = "Paint over a part of a face, morph two faces, dream up new ones – on your own computer."
NO_UPLOAD = "A file must be uploaded first: a path alone is not taken."
DATA_ADDRESS = "Please upload the picture as a file: an address with data in it is not read."
UNFIT = "What was sent to {name} is not what it takes: please look it up in the documentation."
COUNT = "{name} takes {wanted} values ({names}), got {given}."
TABS = {
    "Generate": generate,
    "Evolution": evolution,
    "Interpolate": interpolate,
    "Inpaint": inpaint,
    "Reimagine": denoise,
    "Translate": translate,
    "2-D lab": lab,
    "About": about,
}
FIRST = ("generate", "about")  # whose examples are drawn before those of others: they are cheap
LAUNCH = {
    "theme": THEME,
    "css_paths": assets.STYLES,
    "max_file_size": "25mb",
    "show_error": False,
    "ssr_mode": False,
    "enable_monitoring": False,
    "run_history": False,
    "footer_links": ["api"],
    "allowed_paths": [],
    "pwa": False,
    "favicon_path": assets.FAVICON,
    "max_threads": CAPACITY + 24,  # those that wait for their turn, and what is not queued
    "state_session_capacity": 400,
}
log = logging.getLogger(__name__)


class Page(gr.Blocks):
    """Blocks that take files by upload alone, whatever component and endpoint they are meant for.

    Gradio decodes data addresses outside of `imaging`, past ``max_file_size``; and it checks only
    those files for being uploads that say they are files, though its components read others too.
    """

    def queue(self, **options: Any) -> Any:
        """Queue as Gradio does, behind a `Door`."""
        super().queue(**options)
        self._queue = Door(True, self.max_threads, 1, None, self, default_concurrency_limit=1)
        return self

    def launch(
        self,
        *,
        hosts: Collection[str] = (),
        frames: Collection[str] = (),
        proxied: bool = False,
        **options: Any,
    ) -> Any:
        """Serve it behind a `Gate`, which takes the first three; a link to it says what it is."""
        gate = Middleware(
            Gate,
            functions=self.fns.keys(),
            knows=self._queue.knows,
            endpoints=[fn.api_name for fn in self.fns.values() if fn.api_visibility == "public"],
            folder=Path(get_upload_folder()),
            health=self.health,
            hosts=hosts,
            frames=frames,
            proxied=proxied,
        )
        reference = Middleware(Reference, operations=self.operations)
        preview = Middleware(LinkPreview, title=TITLE, text=PROMISE)
        kept = {"middleware": [gate, reference, preview]}
        return super().launch(app_kwargs=kept, **options)

    def leave(self) -> None:
        """Refuse new runs from now on."""
        self._queue.leaving = True

    def health(self) -> dict[str, Any]:
        """What a host wants to know: whether it serves, what is loaded, how many runs there are."""
        status = "leaving" if self._queue.leaving else "ok"
        return {"status": status, "version": __version__, "runs": len(TURNS), **self.models.state}

    async def process_api(self, *given: Any, request: Any = None, **options: Any) -> Any:
        """Remember whose request is being worked on, for the log."""
        scope = getattr(getattr(request, "request", None), "scope", None) or {}
        logs.REQUEST.set(scope.get("request_name", ""))
        return await super().process_api(*given, request=request, **options)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *rest: Any, **options: Any
    ) -> list[Any]:
        """Look at what came in before any component does; what does not fit is a sentence."""
        if refusal := _refusal(inputs) or _miscounted(block_fn, inputs):
            raise gr.Error(refusal, print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *rest, **options)
        except gr.Error:
            raise
        except Exception as error:
            log.info("what was sent does not fit: %s", type(error).__name__)
            raise gr.Error(UNFIT.format(name=block_fn.api_name), print_exception=False) from error


def _refusal(value: Any) -> str | None:
    """What is wrong with a file anywhere in the JSON."""
    if isinstance(value, dict):
        addresses = [a for a in (value.get("url"), value.get("path")) if isinstance(a, str)]
        if any(address.lstrip()[:5].lower() == "data:" for address in addresses):
            return DATA_ADDRESS
        if isinstance(value.get("path"), str) and not is_file_obj_with_meta(value):
            return NO_UPLOAD
        value = list(value.values())
    return next(filter(None, map(_refusal, value)), None) if isinstance(value, list) else None


def _miscounted(block_fn: Any, inputs: list[Any]) -> str | None:
    """What is said where there are too few or too many values."""
    names = [block.label or "" for block in block_fn.inputs]
    if len(inputs) == len(names):
        return None
    listed = ", ".join(names) if block_fn.api_visibility == "public" else "see the page"
    counts = {"wanted": len(names), "given": len(inputs)}
    return COUNT.format(name=str(block_fn.api_name).capitalize(), names=listed, **counts)


def build(models: Models) -> gr.Blocks:
    """The whole page; launch it with ``**LAUNCH``."""
    imaging.restrict_decoders()
    built: dict[str, Tab] = {}
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200)) as page:
        model, loader = _header(models)
        # Gradio's other way with tabs that do not fit hides them behind "..."; these scroll.
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for title, module in TABS.items():
                name = module.__name__.rsplit(".", 1)[-1]
                with gr.Tab(title, id=name) as tab:
                    built[name] = module.build(Studio(models, model, tab))
        transfer.wire(tabs, built)
        worked = _examples(built)
        opened = restore.Restorer(models, loader, tabs, model, built, worked).wire(page)
        _wire_examples(opened.then, model, built, worked)
        page.models = models
        page.operations = [tab.operation for tab in built.values() if tab.operation]
        for operation in page.operations:
            operation.publish(models)
    # A direct call would run beside the queue, and past its limits.
    return page.queue(api_open=False)


def _header(models: Models) -> tuple[gr.Dropdown, gr.HTML]:
    """Name, what one gains, model picker, device badge, button for recipes, the keys."""
    with gr.Row(elem_id="header"):
        gr.HTML(f"<h1>{TITLE}</h1><p>{PROMISE}</p>", elem_id="title")
        model = gr.Dropdown(
            models.names,
            value=models.names[0] if models.names else None,
            label="Model",
            min_width=140,
            scale=0,
            elem_id="model",
            interactive=True,
        )
        loader = restore.loader()
        gr.HTML(
            f'<span>{device_text(models)}</span><button type="button" data-open="keys" '
            f'title="keys" aria-label="keys">?</button>{keys.dialog()}',
            js_on_load=assets.script("page.js"),
            elem_id="device",
            min_width=150,
        )
    return model, loader


def device_text(models: Models) -> str:
    """What the page computes on, in words."""
    for name in models.names:
        with suppress(CheckpointError):
            return models.get(name).device_name
    return "no model"


def _examples(built: Mapping[str, Tab]) -> Callable[[str, str | None], Sequence[Any]]:
    """The worked example of a tab, by its id and the name of the model; drawn once."""
    drawing, example = threading.Lock(), lru_cache(32)(lambda tab, name: built[tab].example(name))

    def worked(tab: str, name: str | None) -> Sequence[Any]:
        with drawing:  # two newcomers, one drawing
            return example(tab, name)

    return worked


def _wire_examples(
    opened: Callable[..., Any],
    model: gr.Dropdown,
    built: Mapping[str, Tab],
    worked: Callable[[str, str | None], Sequence[Any]],
) -> None:
    """Fill every tab with a worked example, once the page is open and when a model is picked."""

    def show(tab: str, anew: bool, name: str | None, status: str) -> Sequence[Any]:
        if status and not anew:  # the visitor was faster
            return [gr.skip()] * (len(built[tab].fills) + 1)
        return worked(tab, name)

    # Not in the queue: drawn once, they are free, and a newcomer need not wait for others' runs.
    for listen, anew in ((opened, False), (model.input, True)):
        for name in sorted(built, key=lambda name: name not in FIRST):
            tab = built[name]
            if tab.example is not None:
                outputs = [*tab.fills, tab.status]
                handler = attempt(partial(show, name, anew), len(outputs))
                listen = listen(handler, [model, tab.status], outputs, **QUIET).then
