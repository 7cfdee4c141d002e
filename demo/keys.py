"""The keys of the page: one list, which the dialog under "?" shows. Each part adds its own."""

from __future__ import annotations

import html

KEYS: dict[str, list[tuple[str, str]]] = {
    "Everywhere": [
        ("?", "this list"),
        ("Ctrl Enter", "run"),
        ("Esc", "stop"),
    ],
    "Seed": [
        ("↑ ↓", "the next one, the one before"),
    ],
    "Large picture": [
        ("← →", "the one before, the next"),
        ("Esc", "close"),
    ],
    "Film": [
        ("Space", "play, pause"),
        ("← →", "one step back, on"),
        ("Home End", "to the beginning, to the end"),
        ("L", "play for ever, or once"),
    ],
    "Photo": [
        ("B", "brush"),
        ("E", "eraser"),
        ("[ ]", "smaller, larger brush"),
        ("C", "the square that the model sees"),
        ("H", "move the view; Ctrl and the wheel zoom"),
        ("0", "the whole photo"),
        ("Ctrl Z", "undo"),
        ("Ctrl Shift Z", "redo"),
        ("Tab", "held over the photo: before"),
        ("O", "the same, held in the photo"),
        ("← ↑ → ↓", "move the brush over a grid, or the square"),
        ("Space", "paint a cell, or wipe it; with Shift the arrows paint"),
        ("+ -", "larger, smaller square"),
        (", .", "turn the square"),
        ("Enter", "run"),
    ],
    "Square to draw on": [
        ("← ↑ → ↓", "move the pen"),
        ("Space", "put it down, lift it"),
        ("Backspace", "undo the last line"),
    ],
}
"""By the part of the page: keys, apart by spaces, and what they do."""


def dialog() -> str:
    """The dialog that lists them, closed; ``page.js`` opens it."""
    parts = "".join(
        f"<section><h2>{html.escape(part)}</h2><dl>{''.join(map(_line, keys))}</dl></section>"
        for part, keys in KEYS.items()
    )
    return (
        '<dialog id="keys" aria-labelledby="keys-title"><form method="dialog">'
        '<h1 id="keys-title">Keys</h1><button aria-label="close">✕</button></form>'
        f"{parts}</dialog>"
    )


def _line(keys: tuple[str, str]) -> str:
    caps = " ".join(f"<kbd>{html.escape(key)}</kbd>" for key in keys[0].split())
    return f"<dt>{caps}</dt><dd>{html.escape(keys[1])}</dd>"
