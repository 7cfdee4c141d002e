"""The page: header, tabs, the gate for what comes in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta
from starlette.middleware import Middleware

from demo import assets, imaging, keys, restore, transfer
from demo.link_preview import LinkPreview
from demo.models import Models
from demo.tab import Studio, Tab
from demo.tabs import about, denoise, evolution, generate, inpaint, interpolate, lab, translate
from demo.theme import THEME
from demo.wiring import QUIET, attempt
from sbcore import CheckpointError

TITLE = "Schrödinger Bridge Studio"
PROMISE = "Paint over a part of a face, morph two faces, dream up new ones – on your own computer."
NO_UPLOAD = "A file must be uploaded first: a path alone is not taken."
DATA_ADDRESS = "Please upload the picture as a file: an address with data in it is not read."
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
}


class Page(gr.Blocks):
    """Blocks that take files by upload alone, whatever component and endpoint they are meant for.

    Gradio decodes data addresses outside of `imaging`, past ``max_file_size``; and it checks only
    those files for being uploads that say they are files, though its components read others too.
    """

    def launch(self, **options: Any) -> Any:
        """Serve it; a link to it says what it is."""
        preview = Middleware(LinkPreview, title=TITLE, text=PROMISE)
        return super().launch(app_kwargs={"middleware": [preview]}, **options)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *rest: Any, **options: Any
    ) -> list[Any]:
        """Look at what came in before any component does."""
        if refusal := _refusal(inputs):
            raise gr.Error(refusal, print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *rest, **options)


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
        for tab in built.values():
            if tab.operation is not None:
                tab.operation.publish(models)
    # A direct call would run beside the queue, and past its limits.
    return page.queue(api_open=False, max_size=20, default_concurrency_limit=1)


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
