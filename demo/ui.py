"""The page: header, tabs, and what travels between them."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta

from demo import api, assets, imaging, widgets
from demo.models import Models
from demo.tabs import about, denoise, evolution, generate, inpaint, interpolate, lab, translate
from sbcore import CheckpointError

NO_UPLOAD = "A file must be uploaded first: a path alone is not taken."
DATA_ADDRESS = "Please upload the picture as a file: an address with data in it is not read."
TITLE = "Schrödinger Bridge Studio"
THEME = gr.themes.Soft(
    primary_hue="orange",
    secondary_hue="slate",
    neutral_hue="slate",
    radius_size="md",
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    block_shadow="none",
    block_title_background_fill="none",
    block_title_background_fill_dark="none",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    block_title_text_weight="500",
    block_title_padding="0",
    block_label_background_fill="*background_fill_primary",
    block_label_background_fill_dark="*background_fill_secondary",
    block_label_text_color="*body_text_color_subdued",
    block_label_text_color_dark="*body_text_color_subdued",
    block_label_text_weight="500",
    body_text_color_subdued="*neutral_500",  # Soft's own grey and orange are too pale to read
    body_text_color_subdued_dark="*neutral_400",
    color_accent="*primary_600",
    slider_color="*primary_600",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    checkbox_label_background_fill_selected="*primary_600",
    input_border_width="1px",
    input_border_width_dark="1px",
    input_border_color="*neutral_300",
    input_border_color_dark="*neutral_600",
    input_background_fill_dark="*neutral_800",
    input_shadow="none",
    checkbox_border_color="*neutral_400",
    checkbox_label_shadow="none",
    button_border_width="1px",
    button_primary_border_color="transparent",
    button_secondary_border_color="*neutral_300",
    button_secondary_border_color_dark="*neutral_600",
    button_secondary_background_fill_dark="*neutral_800",
    button_secondary_background_fill_hover_dark="*neutral_700",
    button_secondary_shadow="none",
    button_secondary_shadow_hover="none",
    button_primary_shadow="none",
    button_primary_shadow_hover="none",
)
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
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200)) as page:
        model, about_link = _header(models)
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                generated = generate.build(models, model)
            with gr.Tab("Evolution", id="evolution"):
                evolved = evolution.build(models, model)
            with gr.Tab("Interpolate", id="interpolate"):
                morphed = interpolate.build(models, model)
            with gr.Tab("Inpaint", id="inpaint"):
                painted = inpaint.build(models, model)
            with gr.Tab("Denoise", id="denoise"):
                restored = denoise.build(models, model)
            with gr.Tab("Translate", id="translate") as translate_tab:
                translate.build(models, translate_tab)
            with gr.Tab("2-D lab", id="lab") as lab_tab:
                lab.build(lab_tab)
            with gr.Tab("About", id="about"):
                explained = about.build()
        about_link.click(open_about, outputs=tabs, **widgets.QUIET)
        _wire_sending(tabs, generated, evolved, morphed, painted, restored)
        _wire_examples(
            page, models, model, generated, evolved, morphed, painted, restored, explained
        )
        api.build(models)
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


def _wire_sending(
    tabs: gr.Tabs,
    generated: generate.GenerateTab,
    evolved: evolution.EvolutionTab,
    morphed: interpolate.InterpolateTab,
    painted: inpaint.InpaintTab,
    restored: denoise.DenoiseTab,
) -> None:
    """Buttons under a face: evolve it, morph it, inpaint it, denoise it."""
    outputs = [
        *(tabs, evolved.seed, evolved.fresh, evolved.status),
        *(morphed.image_a, morphed.image_b, morphed.status),
        *(painted.source, painted.editor, painted.compare, painted.before_after, painted.status),
        *(restored.image, restored.status),
    ]

    def go(tab: str, status: gr.HTML, text: str) -> dict[Any, Any]:
        return {tabs: gr.Tabs(selected=tab), status: widgets.note_html(text)}

    def send(drawn: Any, event: gr.EventData) -> dict[Any, Any]:
        index = int(getattr(event, "index", -1))
        if not 0 <= index < len(drawn.pictures):
            return {}
        picture = imaging.to_uint8(drawn.pictures[index]).astype("float32") / 255
        match event.action:
            case "evolve":
                seed = drawn.seed + index
                moved = go("evolution", evolved.status, f"Seed {seed} is set; now press Evolve.")
                return moved | {evolved.seed: seed, evolved.fresh: False}
            case "a" | "b" as letter:
                image = morphed.image_a if letter == "a" else morphed.image_b
                text = f"Picture {letter.upper()} is set; now press Interpolate."
                return go("interpolate", morphed.status, text) | {image: widgets.pil(picture)}
            case "inpaint":
                moved = go("inpaint", painted.status, "Paint over a part, or take a ready mask.")
                value = inpaint.editor_value(picture)
                return moved | {painted.source: picture, painted.editor: value}
            case "denoise":
                moved = go("denoise", restored.status, "The picture is set; now press Denoise.")
                return moved | {restored.image: widgets.pil(picture)}
            case "compare":
                return {
                    painted.compare: inpaint.compare(drawn.source, picture),
                    painted.before_after: gr.Accordion(open=True),
                }
            case "keep":
                return {
                    painted.source: picture,
                    painted.editor: inpaint.editor_value(picture),
                    painted.compare: inpaint.compare(drawn.source, picture),
                    painted.status: widgets.note_html("Kept: paint over the next part."),
                }
        return {}

    grids = (
        (generated.grid, generated.drawn),
        (morphed.faces, morphed.samples),
        (painted.faces, painted.samples),
        (painted.grid, painted.filled),
        (restored.faces, restored.samples),
        (restored.grid, restored.drawn),
    )
    for grid, state in grids:
        grid.click(send, state, outputs, **widgets.QUIET)


def _wire_examples(
    page: gr.Blocks,
    models: Models,
    model: gr.Dropdown,
    generated: generate.GenerateTab,
    evolved: evolution.EvolutionTab,
    morphed: interpolate.InterpolateTab,
    painted: inpaint.InpaintTab,
    restored: denoise.DenoiseTab,
    explained: about.AboutTab,
) -> None:
    """Fill every tab with a worked example, on load and when the model changes."""
    stages = {
        "generate": generated,
        "about": explained,  # early, as it is cheap
        "evolution": evolved,
        "interpolate": morphed,
        "inpaint": painted,
        "denoise": restored,
    }
    edits = {"interpolate": interpolate, "inpaint": inpaint, "denoise": denoise}

    drawing = threading.Lock()  # two newcomers, one drawing

    @lru_cache(maxsize=32)
    def worked(tab: str, name: str | None) -> tuple[Any, ...]:
        bridge = models.get(name)
        match tab:
            case "generate":
                return generate.examples(bridge)
            case "evolution":
                return evolution.examples(bridge)
            case "about":
                return about.examples(models, bridge, name)
        return edits[tab].examples(bridge, worked("generate", name)[1].pictures)

    def show(tab: str, anew: bool, name: str | None, status: str) -> tuple[Any, ...]:
        *others, _ = stages[tab].examples  # the last one is the status line
        keep = [gr.skip()] * len(others)
        if status and not anew:  # the visitor was faster
            return (*keep, gr.skip())
        try:
            with widgets.sentences(), drawing:
                return worked(tab, name)
        except gr.Error as error:
            return (*keep, widgets.error_html(str(error.message)))

    # Not in the queue: drawn once, they are free, and a newcomer need not wait for others' runs.
    for listen, anew in ((page.load, False), (model.change, True)):
        for tab, stage in stages.items():
            handler, inputs = partial(show, tab, anew), [model, stage.status]
            listen = listen(handler, inputs, stage.examples, **widgets.QUIET).then
