"""``python evaluate.py``: its help, its errors, its exit status."""

from __future__ import annotations

import sys

import pytest

import evaluate
from studies import STUDIES


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
    return evaluate.main()


@pytest.mark.parametrize("name", ["", *STUDIES])
def test_help_explains_every_study_by_example(name: str, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *([name] if name else []), "--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"python evaluate.py {name}" in text  # an example
    if not name:
        assert all(study in text for study in STUDIES)
        return
    assert STUDIES[name].__doc__.split("\n")[0] in text
    assert "(default: 0)" in text and "(default: results" in text
    assert "None" not in text and "()" not in text
    # Defaults of several words read as they are typed.
    assert name != "dsb" or "(default: gaussians plane generation pictures)" in text


def test_an_interrupted_study_says_so(monkeypatch, capsys) -> None:
    def interrupted(options: object, progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(STUDIES["toy"], "run", interrupted)
    assert run(monkeypatch, "toy") == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_progress_counts_what_is_done(capsys) -> None:
    bars = evaluate.Bars()
    for done in (1, 3, 4):
        bars("drawing", done, 4)
    bars("measuring", 1, 2)
    bars.bar.close()
    shown = capsys.readouterr().err
    assert "drawing: 100%" in shown and "4/4" in shown and "measuring:  50%" in shown
