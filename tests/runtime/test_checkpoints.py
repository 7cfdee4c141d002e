"""Round trips, and every way in which a checkpoint can be broken: one sentence each."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sbcore import Bridge, CheckpointError, TranslationBridge, load
from sbcore.runtime import checkpoints
from sbcore.twostage.denoiser import load_denoiser, save_denoiser
from sbcore.twostage.mixture import KernelMixture, mirrored
from sbcore.twostage.ratio import DensityRatioNet, load_density_ratio, save_density_ratio
from tests.conftest import REPOSITORY, SIGMA, TAU, TINY, perturb, save_tiny, tiny_denoiser

SHIPPED = sorted(path.parent for path in (REPOSITORY / "checkpoints").glob("*/config.json"))


def edit_config(folder: Path, stem: str = "config", **changes: Any) -> None:
    path = folder / f"{stem}.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            config.pop(key)
        else:
            config[key] = value
    path.write_text(json.dumps(config), encoding="utf-8")


def edit_network(folder: Path, stem: str = "config", **changes: Any) -> None:
    config = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
    edit_config(folder, stem, network=config["network"] | changes)


def edit_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], name: str = "model"
) -> None:
    path = folder / f"{name}.safetensors"
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


# ----------------------------------------------------------------------------------------------
# Round trips


def test_denoiser_comes_back_up_to_half_precision(tmp_path: Path) -> None:
    denoiser = tiny_denoiser()
    facts = {"name": "tiny", "sigma": SIGMA, "tau": TAU, "training": {"images": 5}}
    save_denoiser(tmp_path / "a" / "b", denoiser, TINY, **facts)
    loaded, config = load_denoiser(tmp_path / "a" / "b")
    assert not loaded.training
    assert {k: config[k] for k in facts} == facts
    for name, tensor in denoiser.state_dict().items():
        kept = loaded.state_dict()[name]
        assert kept.dtype == torch.float32
        expected = tensor.half().float() if tensor.dim() > 1 else tensor
        assert torch.equal(kept, expected), name
    v = torch.randn(2, *TINY.shape)
    torch.testing.assert_close(loaded(v, 0.5), denoiser(v, 0.5), rtol=0.01, atol=0.01)


def test_density_ratio_comes_back(tmp_path: Path) -> None:
    network = DensityRatioNet(TINY.shape, 8)
    perturb(network)
    arguments = {"shape": list(TINY.shape), "channels": 8}
    save_density_ratio(tmp_path, network, arguments, sigma=SIGMA, tau=TAU)
    loaded, config = load_density_ratio(tmp_path)
    assert config["kind"] == "density_ratio" and not loaded.training
    x = torch.randn(3, *TINY.shape)
    torch.testing.assert_close(loaded(x), network(x), rtol=0.01, atol=0.01)


def test_tensors_and_metadata_come_back_exactly(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(2.0), "c": torch.arange(3)}
    checkpoints.save_tensors(tmp_path / "x.safetensors", tensors, {"note": "äöü"})
    loaded, metadata = checkpoints.load_tensors(tmp_path / "x.safetensors")
    assert metadata == {"note": "äöü"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_saving_over_a_checkpoint_replaces_it_and_leaves_no_other_file(tiny_folder: Path) -> None:
    save_tiny(tiny_folder)
    names = {path.name for path in tiny_folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "ratio.json", "ratio.safetensors"}
    assert os.stat(tiny_folder / "config.json").st_mode & 0o777 == 0o644


def test_loading_does_not_hold_the_file(tiny_folder: Path) -> None:
    """Training overwrites a checkpoint that a server has loaded: its weights must not change."""
    denoiser, _ = load_denoiser(tiny_folder)
    before = {k: v.clone() for k, v in denoiser.state_dict().items()}
    raw = (tiny_folder / "model.safetensors").read_bytes()
    (tiny_folder / "model.safetensors").write_bytes(raw[:-4000] + bytes(4000))
    assert all(torch.equal(denoiser.state_dict()[k], v) for k, v in before.items())


# ----------------------------------------------------------------------------------------------
# Broken checkpoints


def rewrite(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    """Replace the bytes of a file."""
    return lambda folder: (folder / name).write_bytes(content((folder / name).read_bytes()))


def remove(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def as_folder(name: str) -> Callable[[Path], Any]:
    return lambda folder: [(folder / name).unlink(), (folder / name).mkdir()]


def config(stem: str = "config", **changes: Any) -> Callable[[Path], Any]:
    return lambda folder: edit_config(folder, stem, **changes)


def network(stem: str = "config", **changes: Any) -> Callable[[Path], Any]:
    return lambda folder: edit_network(folder, stem, **changes)


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], Any]:
    return lambda folder: edit_weights(folder, change)


def not_finite(value: float) -> Callable[[Path], Any]:
    return weights(lambda tensors: tensors["trunk.head.weight"].view(-1)[3:4].fill_(value))


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.pt").write_bytes(pickle.dumps({"weights": 1}))


def small_ratio(folder: Path) -> None:
    arguments = {"shape": [3, 8, 8], "channels": 8}
    save_density_ratio(folder, DensityRatioNet(**arguments), arguments, sigma=SIGMA, tau=TAU)


MODEL, CONFIG = "model.safetensors", "config.json"
BREAK: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated by a byte": (rewrite(MODEL, lambda raw: raw[:-1]), "truncated"),
    "empty weights": (rewrite(MODEL, lambda raw: b""), "truncated"),
    "text as weights": (rewrite(MODEL, lambda raw: b"version https://git-lfs"), "truncated"),
    "weights are a folder": (as_folder(MODEL), "not a safetensors file"),
    "one weight missing": (weights(lambda t: t.pop("trunk.head.bias")), "does not fit"),
    "one weight too many": (weights(lambda t: t.update(extra=torch.ones(1))), "does not fit"),
    "wrong shape": (weights(lambda t: t.update(mean=torch.ones(3, 8, 8))), "does not fit"),
    "NaN weights": (not_finite(float("nan")), "not finite"),
    "infinite weights": (not_finite(float("inf")), "not finite"),
    "no weights": (remove(MODEL), "holds no model.safetensors"),
    "only a pickle": (only_a_pickle, "model.pt, a pickle, may run code"),
    "no config": (remove(CONFIG), "holds no config.json"),
    "invalid JSON": (rewrite(CONFIG, lambda raw: b"{"), "not valid JSON"),
    "binary config": (rewrite(CONFIG, lambda raw: b"\xff\xfe\x00"), "not valid JSON"),
    "config is a folder": (as_folder(CONFIG), "config.json"),
    "foreign JSON": (rewrite(CONFIG, lambda raw: b'{"_class_name": "UNet"}'), "not written by"),
    "a list as JSON": (rewrite(CONFIG, lambda raw: b"[1, 2]"), "not written by"),
    "future version": (config(format_version=2), "please update"),
    "version as text": (config(format_version="1"), "version"),
    "wrong kind": (config(kind="density_ratio"), "not a denoiser"),
    "no kind": (config(kind=None), "not a denoiser"),
    "no network": (config(network=None), "cannot be built"),
    "network is text": (config(network="big"), "cannot be built"),
    "unknown option": (network(wings=2), "cannot be built"),
    "impossible size": (network(image_size=17), "cannot be built"),
    "size as text": (network(image_size="16"), "cannot be built"),
    "channels is a number": (network(channels=16), "cannot be built"),
    "absurd size": (network(image_size=2**24), "cannot be built"),
    "another width": (network(channels=[16, 40]), "does not fit"),
    "no sigma": (config(sigma=None), "sigma"),
    "sigma is text": (config(sigma="two"), "sigma"),
    "tau is negative": (config(tau=-8.0), "tau"),
    "ratio truncated": (rewrite("ratio.safetensors", lambda raw: raw[:3]), "truncated"),
    "ratio without weights": (remove("ratio.safetensors"), "holds no ratio.safetensors"),
    "ratio of another size": (small_ratio, "density ratio"),
    "ratio of another bridge": (config("ratio", tau=2.0), "density ratio"),
    "ratio of wrong kind": (config("ratio", kind="denoiser"), "denoiser"),
    "ratio without shape": (network("ratio", shape=[3]), "cannot be built"),
}


@pytest.mark.parametrize("damage", BREAK)
def test_broken_checkpoint_is_refused_in_one_sentence(damage: str, tiny_folder: Path) -> None:
    inflict, reason = BREAK[damage]
    inflict(tiny_folder)
    with pytest.raises(CheckpointError, match=reason) as caught:
        Bridge.from_pretrained(tiny_folder, "cpu")
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert str(tiny_folder) in message and "\n" not in message and message.endswith(".")
    assert len(message) < 400


def test_pickle_beside_the_weights_is_never_read(tiny_folder: Path) -> None:
    (tiny_folder / "model.pt").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert Bridge.from_pretrained(tiny_folder, "cpu").shape == TINY.shape


# ----------------------------------------------------------------------------------------------
# Places


def test_file_instead_of_folder_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is a file; give the folder"):
        Bridge.from_pretrained(tiny_folder / "model.safetensors")


@pytest.mark.parametrize(
    "name", ["checkpoints/nosuch", "nosuch", "./no/such", "/no/such", "a/b/c", "~/x"]
)
def test_missing_folder_is_reported_without_asking_the_hub(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*arguments: Any, **options: Any) -> str:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(checkpoints, "snapshot_download", unreachable)
    with pytest.raises(CheckpointError, match="no checkpoint folder") as caught:
        Bridge.from_pretrained(name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), OSError(errno.ENOSPC, "No space left on device")],
    ids=lambda error: type(error).__name__,
)
def test_unreachable_hub_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr(checkpoints, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="could not be fetched from the Hub") as caught:
        Bridge.from_pretrained("someone/some-faces")
    assert "someone/some-faces" in str(caught.value) and "\n" not in str(caught.value)


def test_the_real_hub_client_when_offline_is_one_sentence() -> None:
    """conftest sets HF_HUB_OFFLINE: nothing leaves the machine."""
    with pytest.raises(CheckpointError, match="could not be fetched"):
        Bridge.from_pretrained("someone/some-faces-that-nobody-has")


def test_invalid_hub_id_is_one_sentence() -> None:
    with pytest.raises(CheckpointError, match="could not be fetched"):
        Bridge.from_pretrained("bad name/with spaces")


def test_hub_repository_loads_like_a_folder(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        return str(tiny_folder)

    monkeypatch.setattr(checkpoints, "snapshot_download", download)
    bridge = Bridge.from_pretrained("someone/faces", "cpu", revision="v1")
    assert bridge.name == "tiny" and bridge.has_density_ratio
    assert asked["repo_id"] == "someone/faces" and asked["revision"] == "v1"
    assert not any(pattern.endswith((".pt", ".bin")) for pattern in asked["allow_patterns"])


# ----------------------------------------------------------------------------------------------
# Writing


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device")),
        ("replace", OSError(errno.ENOSPC, "No space left on device")),
        ("fsync", KeyboardInterrupt()),
    ],
    ids=str,
)
def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_one(
    function: str, error: BaseException, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in tiny_folder.iterdir()}

    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(os, function, fail)
    for folder in (tiny_folder, tiny_folder / "new"):
        with pytest.raises(type(error)):
            save_denoiser(folder, tiny_denoiser(seed=1), TINY, sigma=1.0, tau=1.0)
    assert list((tiny_folder / "new").iterdir()) == []
    (tiny_folder / "new").rmdir()
    assert {path.name: path.read_bytes() for path in tiny_folder.iterdir()} == before


def test_what_a_killed_write_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".a.json.x1.part").touch()
    (tmp_path / ".a.json.swp").touch()
    (tmp_path / ".b.json.x1.part").touch()
    checkpoints.write_atomically(tmp_path / "a.json", b"{}")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.json", ".a.json.swp", ".b.json.x1.part"}


def test_the_file_before_is_kept_on_demand(tmp_path: Path) -> None:
    for content in (b"1", b"2", b"3"):
        checkpoints.write_atomically(tmp_path / "new", content, tmp_path / "old")
    assert (tmp_path / "new").read_bytes() == b"3"
    assert (tmp_path / "old").read_bytes() == b"2"


# ----------------------------------------------------------------------------------------------
# Fingerprints


def test_a_fingerprint_names_the_weights_and_not_their_files(tiny_folder: Path) -> None:
    first = Bridge.from_pretrained(tiny_folder, "cpu").fingerprint
    assert re.fullmatch("[0-9a-f]{16}", first)
    edit_config(tiny_folder, name="other", training={"seconds": 1})
    for path in tiny_folder.glob("*.safetensors"):  # the same tensors, in another order
        tensors = load_file(path)
        save_file(dict(reversed(tensors.items())), path)
    assert Bridge.from_pretrained(tiny_folder, "cpu").fingerprint == first


def test_whatever_decides_the_pictures_changes_the_fingerprint(tiny_folder: Path) -> None:
    whole = Bridge.from_pretrained(tiny_folder, "cpu")
    linear, kernels = whole.denoiser.linear, torch.randn(5, 4)
    mixture = KernelMixture(kernels, 0.5)
    found = [
        whole.fingerprint,
        *(
            Bridge(whole.denoiser, sigma, tau, ratio, device="cpu", mixture=mixed).fingerprint
            for sigma, tau, ratio, mixed in [
                (1.0, TAU, whole.log_ratio, None),
                (SIGMA, 1.0, whole.log_ratio, None),
                (SIGMA, TAU, None, None),
                (SIGMA, TAU, whole.log_ratio, mixture),
                (SIGMA, TAU, whole.log_ratio, KernelMixture(kernels, 0.6)),
                (SIGMA, TAU, whole.log_ratio, KernelMixture(kernels + 0.01, 0.5)),
                (SIGMA, TAU, whole.log_ratio, mirrored(mixture, linear, TINY.shape)),
            ]
        ),
    ]
    edit_weights(tiny_folder, lambda tensors: tensors["mean"].add_(0.01))
    found.append(Bridge.from_pretrained(tiny_folder, "cpu").fingerprint)
    assert len(set(found)) == len(found)


# ----------------------------------------------------------------------------------------------
# What is shipped


@pytest.mark.skipif(not SHIPPED, reason="checkpoints/ holds no model yet")
@pytest.mark.parametrize("folder", SHIPPED or [None], ids=lambda path: path and path.name)
def test_shipped_checkpoint_loads_as_its_own_kind_draws_and_has_a_card(folder: Path) -> None:
    bridge = load(folder, "cpu")
    if isinstance(bridge, TranslationBridge):
        picture = bridge.translate(torch.zeros(1, *bridge.shape), seed=0, steps=2).result()
        other = Bridge
    else:
        picture = bridge.generate(1, seed=0, steps=2).result()
        other = TranslationBridge
    assert picture.shape == (1, *bridge.shape) and picture.std() > 0.02
    with pytest.raises(CheckpointError, match="holds a"):
        other.from_pretrained(folder)
    assert (folder / "README.md").is_file()
