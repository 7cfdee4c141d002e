"""The models on offer: found in ``checkpoints/``, loaded on first use, kept.

Two kinds: those that draw pictures (`Bridge`) and those that translate between two sets
(`TranslationBridge`). Each tab offers and takes its own kind; a model of points is not offered.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from sbcore import Bridge, CheckpointError, TranslationBridge, load

DRAWS, TRANSLATES, POINTS = "draws pictures", "translates pictures", "carries points"


class Models:
    """Loads each model once; safe to share between requests.

    Args:
        folder: Folder of checkpoint folders.
        extra: Further checkpoint folders or Hub repository ids; the first becomes the default.
            What a repository holds shows when it is loaded: until then both kinds offer it.
        device: Where to compute; None chooses.
    """

    def __init__(
        self, folder: Path, extra: tuple[str, ...] = (), device: str | None = None
    ) -> None:
        found = {path.parent.name: path.parent for path in folder.glob("*/config.json")}
        named = {str(name).rstrip("/").rsplit("/", 1)[-1]: name for name in extra}
        order = sorted(found, key=lambda name: (name != "celeba64", name))
        self._sources = named | {name: found[name] for name in order if name not in named}
        self._kinds = {name: _kind(source) for name, source in self._sources.items()}
        self._device, self._loaded, self._lock = device, {}, threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of the models that draw pictures, the default first."""
        return [name for name, kind in self._kinds.items() if kind in (DRAWS, None)]

    @property
    def translations(self) -> list[str]:
        """Names of the models that translate, the default first; those that may come last."""
        kinds = self._kinds.items()
        return [name for kind in (TRANSLATES, None) for name, found in kinds if found == kind]

    @property
    def state(self) -> dict[str, Any]:
        """For hosts: names on offer, and those that are in memory."""
        return {"models": self.names, "loaded": sorted(self._loaded)}

    def get(self, name: str | None = None) -> Bridge:
        """The model of that name that draws pictures; None for the default.

        Raises:
            CheckpointError: If there is no such model, or it is of the other kind or unusable.
        """
        if not self.names:
            raise CheckpointError("There is no model: the checkpoints folder is empty.")
        model = self._get(name, self.names)
        if not isinstance(model, Bridge):
            raise CheckpointError(
                f"The model {model.name} only translates between two sets: see the Translate tab."
            )
        return model

    def translation(self, name: str | None = None) -> TranslationBridge:
        """The model of that name that translates; None for the default; errors as `get`."""
        if not self.translations:
            raise CheckpointError(
                "There is no model that translates: train one with python train.py dsb."
            )
        model = self._get(name, self.translations)
        if not isinstance(model, TranslationBridge):
            raise CheckpointError(f"The model {model.name} draws pictures, but cannot translate.")
        return model

    def source(self, name: str | None = None) -> Path | str:
        """Where a model of `names` comes from: its folder, or its Hub repository id."""
        return self._sources[name or self.names[0]]

    def _get(self, name: str | None, offered: list[str]) -> Bridge | TranslationBridge:
        name = offered[0] if name is None else name
        if name not in self._sources:
            raise CheckpointError(f"There is no model {name!r:.60}; choose {', '.join(offered)}.")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def _load(self, name: str) -> Bridge | TranslationBridge:
        source = self._sources[name]
        try:
            model = load(source, self._device)
        except CheckpointError as error:  # visitors need not know the server's folders
            reason = str(error).replace(str(source), name)
            raise CheckpointError(f"The model {name} cannot be used: {reason}") from error
        model.name = name  # reports and recipes call it as the page and the API do
        return model


def _kind(source: Path | str) -> str | None:
    """What a model does, as its folder says; None where that is not known yet."""
    if not (path := Path(source) / "config.json").is_file():
        return None
    with suppress(OSError, ValueError, AttributeError, TypeError):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("kind") == "dsb":
            points = len(config.get("network", {}).get("shape", ())) == 1
            return POINTS if points else TRANSLATES
    return DRAWS
