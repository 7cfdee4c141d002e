"""What the studies refuse, each in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies import bench
from tests.studies.conftest import Command

DATA = ("--data", "train")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("card", "nosuch", *DATA), "nosuch"),
        (("card", "tiny", "--data", "nosuch", "--val", "val"), "nosuch"),
        (("card", "tiny", "--data", "val"), "--val"),
        (("card", "tiny", *DATA, "--count", "21"), "at most 20"),
        (("card", "tiny", *DATA, "--count", "3"), "count must be"),
        (("features", "tiny", *DATA), "features.json"),
        (("features", "features", *DATA, "--count", "30"), "at most 20"),
        (("table1", "tiny", *DATA, "--paper-steps", "0"), "paper_steps"),
        (("table2", "tiny", *DATA, "--inception", "nosuch.pth"), "no Inception weights at nosuch"),
        (("toy", "--particles", "1"), "particles must be at least 2"),
        (("bench", "tiny", "--repeats", "0"), "repeats"),
        (("contact",), "name a model"),
        (("contact", "--key", "key.json"), "--marked"),
        (("contact", "tiny", "--key", "key.json", "--marked", "x"), "no model"),
        (("contact", "--key", "val/00.png", "--marked", "x"), "no key"),
        (("paste", "tiny", *DATA, "--count", "1"), "count must be"),
        (("paste", "tiny", *DATA, "--sides", "8"), "sides must be"),
        (("dsb", "--points", "3"), "points must be a whole number of at least 10"),
        (("dsb", "--parts", "pictures", "--source", "x"), "--source and --target"),
        (("dsb", "--parts", "history", "--model", "nosuch"), "there is no history"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_a_sentence(
    run: Command, capsys, arguments: tuple[str, ...], wanted: str
) -> None:
    assert run(*arguments)[0] == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and wanted in line


def test_bench_without_the_app_is_a_sentence(run: Command, monkeypatch, capsys) -> None:
    assert (bench.ROOT / "app.py").is_file()
    monkeypatch.setattr(bench, "ROOT", Path("nosuch"))
    assert run("bench", "tiny", "--quick", "--app")[0] == 1
    assert "no app.py" in capsys.readouterr().err
