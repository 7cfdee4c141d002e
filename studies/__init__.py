"""Studies: each redraws a figure or a table, behind one subcommand of ``evaluate.py``.

A study is a module with ``add_arguments(parser)`` and ``run(options, progress) -> Report``; its
docstring is the help text. ``options`` always has ``seed`` and ``quick``.
"""

from __future__ import annotations

from studies import bench, card, dsb, features, inpainting, samplers, table1, table2, toy

STUDIES = {
    "bench": bench,
    "card": card,
    "dsb": dsb,
    "features": features,
    "inpainting": inpainting,
    "samplers": samplers,
    "table1": table1,
    "table2": table2,
    "toy": toy,
}

__all__ = ["STUDIES"]
