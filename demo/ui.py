"""The page: header, tabs, and what travels between them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gradio as gr

from demo import api, imaging, widgets
from demo.models import Models
from demo.tabs import evolution, generate, inpaint, interpolate

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
)
LAUNCH = {
    "theme": THEME,
    "css_paths": [widgets.ASSETS / "style.css"],
    "max_file_size": "8mb",
    "show_error": False,
    "ssr_mode": False,
    "enable_monitoring": False,
    "run_history": False,
    "footer_links": ["api"],
    "allowed_paths": [],
    "pwa": False,
}


def build(models: Models) -> gr.Blocks:
    """The whole page; launch it with ``**LAUNCH``."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200)) as page:
        model = _header(models)
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                generated = generate.build(models, model)
            with gr.Tab("Evolution", id="evolution"):
                evolved = evolution.build(models, model)
            with gr.Tab("Interpolate", id="interpolate"):
                morphed = interpolate.build(models, model)
            with gr.Tab("Inpaint", id="inpaint"):
                painted = inpaint.build(models, model)
        _wire_sending(tabs, generated, evolved, morphed, painted)
        _wire_examples(page, models, model, generated, evolved, morphed, painted)
        api.build(models)
    return page.queue(max_size=20, default_concurrency_limit=1)


def _header(models: Models) -> gr.Dropdown:
    """Name, model picker, device badge."""
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
    return model


def device_text(models: Models) -> str:
    """What the page computes on, in words."""
    try:
        return models.get().device_name
    except ValueError:
        return "no model"


def _wire_sending(
    tabs: gr.Tabs,
    generated: generate.GenerateTab,
    evolved: evolution.EvolutionTab,
    morphed: interpolate.InterpolateTab,
    painted: inpaint.InpaintTab,
) -> None:
    """Buttons under a face: evolve it, morph it, inpaint it."""
    outputs = [
        tabs,
        evolved.seed,
        evolved.fresh,
        morphed.image_a,
        morphed.image_b,
        painted.source,
        painted.editor,
        painted.compare,
    ]

    def go(tab: str) -> dict[Any, Any]:
        return {tabs: gr.Tabs(selected=tab)}

    def send(drawn: Any, event: gr.EventData) -> dict[Any, Any]:
        index = int(getattr(event, "index", -1))
        if not 0 <= index < len(drawn.pictures):
            return {}
        picture = imaging.to_uint8(drawn.pictures[index]).astype("float32") / 255
        match event.action:
            case "evolve":
                seed = drawn.seed + index
                return go("evolution") | {evolved.seed: seed, evolved.fresh: False}
            case "a":
                return go("interpolate") | {morphed.image_a: widgets.pil(picture)}
            case "b":
                return go("interpolate") | {morphed.image_b: widgets.pil(picture)}
            case "inpaint":
                value = inpaint.editor_value(picture)
                return go("inpaint") | {painted.source: picture, painted.editor: value}
            case "keep":
                return {
                    painted.source: picture,
                    painted.editor: inpaint.editor_value(picture),
                    painted.compare: inpaint.compare(drawn.source, picture),
                }
        return {}

    for tab, state in ((generated.grid, generated.drawn), (painted.grid, painted.filled)):
        tab.click(
            send, state, outputs, queue=False, show_progress="hidden", api_visibility="private"
        )


def _wire_examples(
    page: gr.Blocks,
    models: Models,
    model: gr.Dropdown,
    generated: generate.GenerateTab,
    evolved: evolution.EvolutionTab,
    morphed: interpolate.InterpolateTab,
    painted: inpaint.InpaintTab,
) -> None:
    """Fill every tab with a worked example, on load and when the model changes."""

    @lru_cache(maxsize=8)
    def worked(name: str) -> tuple[Any, ...]:
        bridge = models.get(name)
        faces = generate.examples(bridge)
        pictures = faces[1].pictures
        return (
            *faces,
            *evolution.examples(bridge),
            *interpolate.examples(bridge, pictures),
            *inpaint.examples(bridge, pictures),
            gr.update(maximum=bridge.sigma**2),
        )

    outputs = [
        generated.grid,
        generated.drawn,
        generated.status,
        evolved.player,
        evolved.strip,
        evolved.status,
        morphed.image_a,
        morphed.image_b,
        morphed.player,
        morphed.strip,
        morphed.mix,
        morphed.status,
        painted.source,
        painted.editor,
        painted.grid,
        painted.filled,
        painted.compare,
        painted.status,
        morphed.variance,
    ]

    def show(name: str | None) -> tuple[Any, ...]:
        try:
            with widgets.sentences():
                return worked(name)
        except gr.Error as error:
            message = widgets.error_html(str(error.message))
            statuses = (generated.status, evolved.status, morphed.status, painted.status)
            return tuple(message if output in statuses else gr.skip() for output in outputs)

    options = {"show_progress": "hidden", "api_visibility": "private", **widgets.QUEUE}
    page.load(show, model, outputs, **options)
    model.change(show, model, outputs, **options)
