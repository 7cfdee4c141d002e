"""The models on offer: found in ``checkpoints/``, loaded on first use, kept."""

from __future__ import annotations

import threading
from pathlib import Path

from sbcore import Bridge, CheckpointError


class Models:
    """Loads each model once; safe to share between requests.

    Args:
        folder: Folder of checkpoint folders.
        extra: Further checkpoint folders or Hub repository ids; the first becomes the default.
        device: Where to compute; None chooses.
    """

    def __init__(
        self, folder: Path, extra: tuple[str, ...] = (), device: str | None = None
    ) -> None:
        found = {path.parent.name: path.parent for path in folder.glob("*/config.json")}
        named = {str(name).rstrip("/").rsplit("/", 1)[-1]: name for name in extra}
        order = sorted(found, key=lambda name: (name != "celeba64", name))
        self._sources = named | {name: found[name] for name in order if name not in named}
        self._device, self._loaded, self._lock = device, {}, threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of the models, the default first."""
        return list(self._sources)

    def get(self, name: str | None = None) -> Bridge:
        """The model of that name; None for the default.

        Raises:
            CheckpointError: If there is no such model or it cannot be used.
        """
        if not self._sources:
            raise CheckpointError("There is no model: the checkpoints folder is empty.")
        name = self.names[0] if name is None else name
        if name not in self._sources:
            raise CheckpointError(f"There is no model {name!r}; choose {', '.join(self.names)}.")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def source(self, name: str | None = None) -> Path | str:
        """Where a model of `names` comes from: its folder, or its Hub repository id."""
        return self._sources[name or self.names[0]]

    def _load(self, name: str) -> Bridge:
        source = self._sources[name]
        try:
            return Bridge.from_pretrained(source, self._device)
        except CheckpointError as error:  # visitors need not know the server's folders
            reason = str(error).replace(str(source), name)
            raise CheckpointError(f"The model {name} cannot be used: {reason}") from error
