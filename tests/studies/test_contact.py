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


def test_every_picture_of_every_variant_is_on_a_sheet_in_mixed_order(
    run: Command, tmp_path: Path
) -> None:
    def draw(*arguments: str) -> list[dict]:
        options = ("--solvers", "dpmpp_2m_sde", "ddim", "--count", "30", "--steps", "2")
        assert run("contact", "tiny", *options, *arguments)[0] == 0
        return json.loads((tmp_path / "contact" / "key.json").read_text(encoding="utf-8"))

    key = draw()
    variants = ("tiny, dpmpp_2m_sde, 2 evaluations", "tiny, ddim, 2 evaluations")
    assert Counter(entry["variant"] for entry in key) == dict.fromkeys(variants, 30)
    assert {entry["seed"] for entry in key} == set(range(30))
    changes = sum(a["variant"] != b["variant"] for a, b in pairwise(key))
    assert 15 < changes < 45  # of 59; 29.5 if the order is random
    assert len(list((tmp_path / "contact").glob("sheet-*.png"))) == 2  # of 50 and of 10
    page = (tmp_path / "contact" / "README.md").read_text(encoding="utf-8")
    assert "ddim" not in page and "dpmpp" not in page
    assert draw() == key != draw("--seed", "1")
    key = draw("--instant")
    assert Counter(entry["variant"] for entry in key)["tiny, instant mode"] == 30


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
    for text in ("21", "3 0"):  # on no sheet
        marked.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="they go to 20"):
            tally(key, marked)
