"""Checkpoints: safetensors weights beside a JSON config; never pickle.

A model folder holds ``model.safetensors`` + ``config.json`` (the denoiser), optionally
``ratio.safetensors`` + ``ratio.json`` (the density-ratio network of paper mode), and a
``README.md`` (the model card). A Hub repository of the same layout loads by its id.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sbcore.runtime.hub import reason

FORMAT = "schrodinger-bridge-studio"
FORMAT_VERSION = 1
PART = ".part"  # at the end of the name of a file that is being written


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence for the user."""


def locate(name_or_path: str | Path, revision: str | None = None) -> Path:
    """The local folder of a checkpoint, downloaded from the Hub if need be.

    Args:
        name_or_path: A folder, or a Hub repository id ``owner/name``.
        revision: Branch, tag or commit of the Hub repository.

    Raises:
        CheckpointError: If there is neither such a folder nor a reachable repository.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; give the folder that holds config.json.")
    local = (".", "/", "~", "checkpoints")
    if str(name_or_path).count("/") != 1 or str(name_or_path).startswith(local):
        raise CheckpointError(f"There is no checkpoint folder {name_or_path}.")
    try:
        patterns = ["*.safetensors", "*.json", "*.md"]
        return Path(
            snapshot_download(str(name_or_path), revision=revision, allow_patterns=patterns)
        )
    except (HFValidationError, OSError) as error:  # all others of the client are an OSError
        raise CheckpointError(
            f"{name_or_path} is no local folder and could not be fetched from the Hub: "
            f"{reason(error)}."
        ) from error


def read_config(folder: Path, stem: str = "config") -> dict[str, Any]:
    """Read and check ``config.json`` (or ``ratio.json``).

    Raises:
        CheckpointError: If it is missing, broken, foreign, or of a later format.
    """
    path = folder / f"{stem}.json"
    if not path.exists():
        raise CheckpointError(f"{folder} is no checkpoint: it holds no {path.name}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is not valid JSON.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by Schrödinger Bridge Studio.")
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this program reads up to {FORMAT_VERSION}: "
            "please update it."
        )
    return config


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], previous: Path | None = None
) -> None:
    """Write a safetensors file atomically; ``previous`` as of `write_atomically`."""
    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_atomically(path, save(contiguous, metadata), previous)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors and metadata.

    Raises:
        CheckpointError: If the file is missing, truncated or no safetensors file.
    """
    if not path.exists():
        pickled = [p.name for p in path.parent.glob("*") if p.suffix in (".pt", ".pth", ".ckpt")]
        hint = f" ({pickled[0]}, a pickle, may run code and is never read)" if pickled else ""
        raise CheckpointError(f"{path.parent} holds no {path.name}{hint}.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file.") from error


def save_network(
    folder: Path, file: str, stem: str, network: nn.Module, config: dict[str, Any]
) -> None:
    """Write weights (half precision) as ``file`` and the config as ``stem``.json, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "format_version": FORMAT_VERSION}
    halves = {name: _half(tensor) for name, tensor in network.state_dict().items()}
    save_tensors(folder / file, halves, {"format": FORMAT})
    text = json.dumps(header | config, indent=2) + "\n"
    write_atomically(folder / f"{stem}.json", text.encode())


def _half(tensor: Tensor) -> Tensor:
    """Matrices in float16; vectors and scalars (eigenvalues, norms) stay float32."""
    return tensor.half() if tensor.dim() >= 2 else tensor.float()


def build_network(make: Callable[[], Any], folder: Path) -> Any:
    """What ``make`` builds from a config; a CheckpointError if it cannot."""
    try:
        return make()
    except (LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"The network of {folder} cannot be built: {error}.") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file; a CheckpointError if the file does not fit it."""
    tensors, _ = load_tensors(path)
    wanted = network.state_dict()
    if tensors.keys() != wanted.keys() or any(
        tensors[name].shape != wanted[name].shape for name in wanted
    ):
        raise CheckpointError(f"{path} does not fit the network of its config.json.")
    if any(not torch.isfinite(t).all() for t in tensors.values()):
        raise CheckpointError(f"{path} holds values that are not finite.")
    network.load_state_dict({name: t.float() for name, t in tensors.items()})


def fingerprint(*networks: Mapping[str, Tensor], **facts: float | str) -> str:
    """A short name for weights: 16 hexadecimal digits.

    It covers name, shape and value of every tensor of the networks, in float32, and the facts;
    so it is the same for the same model, however its files are laid out and wherever it computes.
    It does not cover the device, bf16 or the version of the program, on which the last bits of a
    picture depend, too. Cost: 0.1 s for 100 MB.

    Args:
        networks: Tensors by name, in a fixed order; none of a network that a model lacks.
        facts: What else decides the pictures.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for network in networks:
        for name, tensor in sorted(network.items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy())
        digest.update(b";")
    return digest.hexdigest()[:16]


def write_atomically(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Write beside the target and rename, so that a crash or a full disk keeps the old file.

    Args:
        path: The target; a reader sees the old file or the whole new one.
        content: What it shall hold.
        previous: Where the old file goes; None: nowhere.

    Raises:
        OSError: If it cannot be written; it names the target.
    """
    begun = f".{path.name}."
    for abandoned in path.parent.glob(f"{begun}*{PART}"):  # by a process that was killed
        abandoned.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(PART, begun, path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
