"""The list of keys."""

from __future__ import annotations

from demo import keys


def test_every_key_is_listed_once_in_its_part_and_stays_text(monkeypatch):
    monkeypatch.setitem(keys.KEYS, "<Editor>", [("[ ]", "size of the <brush>")])
    text = keys.dialog()
    assert text.count("<section>") == len(keys.KEYS)
    assert text.count("<dt>") == sum(map(len, keys.KEYS.values()))
    assert "&lt;Editor&gt;" in text and "<kbd>[</kbd> <kbd>]</kbd>" in text and "<brush" not in text
    for lines in keys.KEYS.values():
        names = [name for name, _ in lines]
        assert len(set(names)) == len(names)
