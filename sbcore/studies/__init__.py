"""Studies: each redraws a figure or a table, behind one subcommand of ``evaluate.py``.

A study is a module with ``add_arguments(parser)`` and ``run(options, progress) -> Report``; its
docstring is the help text. ``options`` always has ``seed`` and ``quick``.
"""

from __future__ import annotations

from sbcore.studies import card

STUDIES = {"card": card}

__all__ = ["STUDIES"]
