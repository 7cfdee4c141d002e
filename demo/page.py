"""The page: header, tabs, the gate for what comes in."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta

from demo import assets, imaging, transfer
from demo.models import Models
from demo.tab import Studio, Tab
from demo.tabs import about, denoise, evolution, generate, inpaint, interpolate, lab, translate
from demo.theme import THEME
from demo.wiring import QUIET, attempt
from sbcore import CheckpointError

TITLE = "Schrödinger Bridge Studio"
NO_UPLOAD = "A file must be uploaded first: a path alone is not taken."
DATA_ADDRESS = "Please upload the picture as a file: an address with data in it is not read."
TABS = {
    "Generate": generate,
    "Evolution": evolution,
    "Interpolate": interpolate,
    "Inpaint": inpaint,
    "Denoise": denoise,
    "Translate": translate,
    "2-D lab": lab,
    "About": about,
}
FIRST = ("generate", "about")  # whose examples are drawn before those of others: they are cheap
LAUNCH = {
    "theme": THEME,
    "css_paths": [assets.STYLE],
    "max_file_size": "8mb",
    "show_error": False,
    "ssr_mode": False,
    "enable_monitoring": False,
    "run_history": False,
    "footer_links": ["api"],
    "allowed_paths": [],
    "pwa": False,
}


class Page(gr.Blocks):
    """Blocks that take files by upload alone, whatever component and endpoint they are meant for.

    Gradio decodes data addresses outside of `imaging`, past ``max_file_size``; and it checks only
    those files for being uploads that say they are files, though its components read others too.
    """

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
        model, about_link = _header(models)
        with gr.Tabs() as tabs:
            for title, module in TABS.items():
                name = module.__name__.rsplit(".", 1)[-1]
                with gr.Tab(title, id=name) as tab:
                    built[name] = module.build(Studio(models, model, tab))
        about_link.click(open_about, outputs=tabs, **QUIET)
        transfer.wire(tabs, built)
        _wire_examples(page, model, built)
        for tab in built.values():
            if tab.operation is not None:
                tab.operation.publish(models)
    # A direct call would run beside the queue, and past its limits.
    return page.queue(api_open=False, max_size=20, default_concurrency_limit=1)


def _header(models: Models) -> tuple[gr.Dropdown, gr.Button]:
    """Name, model picker, device badge, link to About."""
    with gr.Row(elem_id="header"):
        gr.HTML(
            f"<h1>{TITLE}</h1><p>Pictures from nothing, along two Schrödinger bridges.</p>",
            elem_id="title",
        )
        model = gr.Dropdown(
            models.names,
            value=models.names[0] if models.names else None,
            show_label=False,
            container=False,
            min_width=140,
            scale=0,
            elem_id="model",
            interactive=True,
        )
        gr.HTML(f"<span>{device_text(models)}</span>", elem_id="device", min_width=130)
        about_link = gr.Button("About", size="sm", scale=0, min_width=60, elem_id="about-link")
    return model, about_link


def open_about() -> gr.Tabs:
    """What the link in the header does."""
    return gr.Tabs(selected="about")


def device_text(models: Models) -> str:
    """What the page computes on, in words."""
    for name in models.names:
        with suppress(CheckpointError):
            return models.get(name).device_name
    return "no model"


def _wire_examples(page: gr.Blocks, model: gr.Dropdown, built: Mapping[str, Tab]) -> None:
    """Fill every tab with a worked example, on load and when the model changes."""
    drawing = threading.Lock()  # two newcomers, one drawing

    @lru_cache(maxsize=32)
    def worked(tab: str, name: str | None) -> Sequence[Any]:
        return built[tab].example(name)

    def show(tab: str, anew: bool, name: str | None, status: str) -> Sequence[Any]:
        if status and not anew:  # the visitor was faster
            return [gr.skip()] * (len(built[tab].fills) + 1)
        with drawing:
            return worked(tab, name)

    # Not in the queue: drawn once, they are free, and a newcomer need not wait for others' runs.
    for listen, anew in ((page.load, False), (model.change, True)):
        for name in sorted(built, key=lambda name: name not in FIRST):
            tab = built[name]
            if tab.example is not None:
                outputs = [*tab.fills, tab.status]
                handler = attempt(partial(show, name, anew), len(outputs))
                listen = listen(handler, [model, tab.status], outputs, **QUIET).then
