"""Studies: each redraws a figure or a table, behind one subcommand of ``evaluate.py``.

A study is a module with ``add_arguments(parser)`` and ``run(options, progress) -> Report``, or None
where another process reports; its docstring is the help text. ``options`` always has ``seed``,
``quick`` and ``out``, whose default is ``OUT`` of the study, else ``results``.
"""

from __future__ import annotations

from studies import (
    bench,
    card,
    contact,
    dsb,
    faces,
    features,
    inpainting,
    instant,
    morphs,
    paste,
    sample,
    samplers,
    table1,
    table2,
    toy,
)

STUDIES = {
    study.__name__.rpartition(".")[2]: study
    for study in (
        *(bench, card, contact, dsb, faces, features),
        *(inpainting, instant, morphs, paste, sample, samplers, table1, table2, toy),
    )
}

__all__ = ["STUDIES"]
