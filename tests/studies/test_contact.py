"""The blind count: sheets that tell nothing, a key that tells all."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from studies.contact import ENLARGED, numbered_sheet, tally
from tests.studies.conftest import Command


def draw(run: Command, *arguments: str) -> list[dict]:
    out = Path("sheets")
    options = ("--count", "30", "--steps", "2", *arguments)
    assert run("contact", "tiny", "--solvers", "dpmpp_2m_sde", "ddim", *options, out=out)[0] == 0
    return json.loads((out / "contact" / "key.json").read_text(encoding="utf-8"))


def test_every_picture_of_every_variant_is_on_a_sheet_in_mixed_order(run: Command) -> None:
    key = draw(run)
    assert Counter(entry["variant"] for entry in key) == {
        "tiny, dpmpp_2m_sde, 2 evaluations": 30,
        "tiny, ddim, 2 evaluations": 30,
    }
    assert {entry["seed"] for entry in key} == set(range(30))
    changes = sum(a["variant"] != b["variant"] for a, b in pairwise(key))
    assert 15 < changes < 45  # of 59; 29.5 if the order is random
    sheets = sorted(Path("sheets/contact").glob("sheet-*.png"))
    assert len(sheets) == 2  # of 50 and of 10
    assert draw(run) == key != draw(run, "--seed", "1")


def test_the_page_does_not_tell_the_order(run: Command) -> None:
    draw(run)
    page = Path("sheets/contact/README.md").read_text(encoding="utf-8")
    assert "ddim" not in page and "dpmpp" not in page


def test_pictures_stand_below_their_numbers_in_order() -> None:
    levels = range(20, 260, 20)
    shades = torch.tensor(levels) / 255
    sheet = numbered_sheet(shades.view(-1, 1, 1, 1).expand(-1, 3, 16, 16), first=7)
    side = 16 * ENLARGED
    row = sheet.height // 2
    for place, level in enumerate(levels):
        x, y = place % 10 * side, place // 10 * row
        middle = sheet.getpixel((x + side // 2, y + row - side // 2))
        assert middle == (level, level, level)
        number = sheet.crop((x, y, x + side, y + row - side))
        darkest, brightest = number.convert("L").getextrema()
        assert darkest < 64 and brightest == 255  # black on white


def test_the_key_turns_marked_numbers_into_counts(tmp_path: Path) -> None:
    key, marked = tmp_path / "key.json", tmp_path / "marked.txt"
    entries = [{"variant": "ab"[i % 2], "seed": i} for i in range(20)]
    key.write_text(json.dumps(entries), encoding="utf-8")
    marked.write_text("1, 3\n 4 and 4 again; 20", encoding="utf-8")
    [table] = tally(key, marked).tables
    found = {row[0]: list(row[1:4]) for row in table.rows}
    assert found == {"a": [10, 2, 0.2], "b": [10, 2, 0.2]}
    assert table.rows[0][4] == pytest.approx((0.2 * 0.8 / 10) ** 0.5)


@pytest.mark.parametrize("text", ["21", "0", "3 999"])
def test_a_number_that_is_on_no_sheet_is_refused(tmp_path: Path, text: str) -> None:
    key, marked = tmp_path / "key.json", tmp_path / "marked.txt"
    key.write_text(json.dumps([{"variant": "a", "seed": i} for i in range(20)]), encoding="utf-8")
    marked.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="they go to 20"):
        tally(key, marked)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "name a model"),
        (["--key", "key.json"], "--marked"),
        (["tiny", "--key", "key.json", "--marked", "x"], "no model"),
        (["--key", "val/00.png", "--marked", "x"], "no key"),
        (["nosuch"], "nosuch"),
    ],
)
def test_bad_arguments_are_a_sentence(run: Command, capsys, arguments, wanted) -> None:
    assert run("contact", *arguments)[0] == 1
    error = capsys.readouterr().err
    assert wanted in error and "Traceback" not in error
