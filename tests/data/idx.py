"""IDX files of random smooth pictures."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

from tests.conftest import smooth_pictures


def idx_file(path: Path, n: int, size: int = 8) -> Path:
    """A gzipped IDX file of n grey pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = smooth_pictures(n, size, 1, seed=n).numpy().tobytes()
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, n, size, size) + content))
    return path
