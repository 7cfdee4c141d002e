"""Readers: folders, zips, CelebA, CIFAR-10, IDX files, and every bad source."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sbcore.data.pictures import fit_picture, load_images, split_held_out, split_validation


def random_array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def as_tensor(arrays: np.ndarray) -> torch.Tensor:
    """(n, h, w, c) to (n, c, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(arrays.transpose(0, 3, 1, 2)))


def picture_folder(folder: Path, n: int = 3, size: int = 8) -> np.ndarray:
    folder.mkdir(parents=True)
    arrays = random_array(n, size, size, 3)
    for i, array in enumerate(arrays):
        (folder / f"{i}.png").write_bytes(png(array))
    return arrays


def test_folder_is_read_in_name_order_with_subfolders_and_other_files_skipped(
    tmp_path: Path,
) -> None:
    arrays = picture_folder(tmp_path / "set")
    (tmp_path / "set" / "sub").mkdir()
    (tmp_path / "set" / "sub" / "9.PNG").write_bytes(png(arrays[0]))
    (tmp_path / "set" / "notes.txt").write_text("no picture")
    loaded = load_images(tmp_path / "set", 8)
    assert loaded.dtype == torch.uint8 and loaded.is_contiguous()
    assert torch.equal(loaded, as_tensor(arrays[[0, 1, 2, 0]]))


def test_zip_is_read_like_a_folder_without_the_litter_of_macos(tmp_path: Path) -> None:
    arrays = random_array(3, 8, 8, 3)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in (2, 0, 1):
            archive.writestr(f"inner/{i}.png", png(arrays[i]))
        archive.writestr("__MACOSX/inner/._0.png", b"litter")
        archive.writestr("readme.md", b"text")
    assert torch.equal(load_images(tmp_path / "set.zip", 8), as_tensor(arrays))


def test_limit_and_progress(tmp_path: Path) -> None:
    arrays, calls = picture_folder(tmp_path / "set", n=5), []
    loaded = load_images(tmp_path / "set", 8, limit=3, on_progress=lambda *c: calls.append(c))
    assert torch.equal(loaded, as_tensor(arrays[:3]))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_other_shapes_are_cropped_at_the_centre_and_resized() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for array in (wide, wide.transpose(1, 0, 2)):
        assert (fit_picture(Image.fromarray(array), 10) == 200).all()
    assert fit_picture(Image.fromarray(wide), 4).shape == (4, 4, 3)


def test_orientation_tag_is_obeyed() -> None:
    array = random_array(8, 8, 3)
    picture = Image.fromarray(array)
    exif = picture.getexif()
    exif[0x0112] = 3  # turned by 180 degrees
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    assert np.array_equal(fit_picture(Image.open(file), 8), array[::-1, ::-1])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).convert(mode)
    assert (fit_picture(picture, 8) == 255).all()


def test_sixteen_bit_pictures_keep_their_shades() -> None:
    ramp = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    fitted = fit_picture(Image.fromarray(ramp), 8)
    assert np.abs(fitted[..., 0] - ramp / 257.0).max() <= 1.5


def test_aligned_celeba_is_cropped_as_in_the_paper(tmp_path: Path) -> None:
    """128x128 at top 57, left 25, known by the official names and shape; or at half resolution."""
    arrays = random_array(2, 218, 178, 3)
    with zipfile.ZipFile(tmp_path / "celeba.zip", "w") as archive:
        for i, array in enumerate(arrays):
            archive.writestr(f"img_align_celeba/00000{i + 1}.png", png(array))
    loaded = load_images(tmp_path / "celeba.zip", 128)
    assert torch.equal(loaded, as_tensor(arrays[:, 57:185, 25:153]))
    half = random_array(109, 89, 3)
    assert np.array_equal(fit_picture(Image.fromarray(half), 64), half[28:92, 12:76])
    holiday = fit_picture(Image.fromarray(arrays[0]), 178, "beach.jpg")
    assert np.array_equal(holiday, arrays[0][20:198])


def idx(arrays: np.ndarray) -> bytes:
    return b"\x00\x00\x08\x03" + struct.pack(">III", *arrays.shape) + arrays.tobytes()


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"])
def test_idx_is_read_plain_and_gzipped_at_its_own_size(tmp_path: Path, name: str) -> None:
    arrays = random_array(4, 28, 28)
    content = idx(arrays)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    loaded = load_images(tmp_path / name, 28, channels=1)
    assert torch.equal(loaded, as_tensor(arrays[..., None]))
    in_colour = load_images(tmp_path / name, 28, channels=3)
    assert torch.equal(in_colour, loaded.expand(-1, 3, -1, -1))
    assert len(load_images(tmp_path / name, 28, limit=2)) == 2


def test_idx_is_padded_to_32_and_cut_and_resized_to_anything_else(tmp_path: Path) -> None:
    path, arrays = tmp_path / "train-images-idx3-ubyte", random_array(2, 28, 28)
    path.write_bytes(idx(arrays))
    padded = load_images(path, 32, channels=1)
    assert torch.equal(padded[:, 0, 2:30, 2:30], torch.from_numpy(arrays))
    assert padded[:, :, :2].max() == 0 and padded[..., 30:].max() == 0
    path.write_bytes(idx(random_array(3, 16, 20)))
    assert load_images(path, 16, channels=1).shape == (3, 1, 16, 16)


def cifar_archive(path: Path, batches: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar_batch(arrays: np.ndarray) -> bytes:
    rows = arrays.transpose(0, 3, 1, 2).reshape(len(arrays), -1)
    labels = np.arange(len(arrays), dtype=np.uint8)[:, None]
    return np.concatenate([labels, rows], axis=1).tobytes()


def test_cifar_binary_archive_is_read_in_batch_order_without_its_test_set(tmp_path: Path) -> None:
    arrays = random_array(6, 32, 32, 3)
    cifar_archive(
        tmp_path / "cifar-10-binary.tar.gz",
        {
            "test_batch.bin": cifar_batch(random_array(3, 32, 32, 3, seed=9)),
            "data_batch_2.bin": cifar_batch(arrays[3:]),
            "data_batch_1.bin": cifar_batch(arrays[:3]),
        },
    )
    loaded = load_images(tmp_path / "cifar-10-binary.tar.gz", 32)
    assert torch.equal(loaded, as_tensor(arrays))


def test_other_cifar_archives_are_refused(tmp_path: Path) -> None:
    """The python one holds pickles; a folder named as a batch is none."""
    cifar_archive(tmp_path / "python.tar.gz", {"data_batch_1": b"\x80\x02}."})
    with tarfile.open(tmp_path / "folder.tar.gz", "w:gz") as archive:
        folder = tarfile.TarInfo("data_batch_1.bin")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    for name in ("python", "folder"):
        with pytest.raises(ValueError, match="binary CIFAR-10 archive"):
            load_images(tmp_path / f"{name}.tar.gz", 32)


def test_tile_sheets_are_cut_in_row_major_order(tmp_path: Path) -> None:
    sheet = random_array(1600, 1600, 3)
    Image.fromarray(sheet).save(tmp_path / "train-00.webp", lossless=True, method=0, quality=0)
    loaded = load_images(tmp_path, 32)
    assert loaded.shape == (2500, 3, 32, 32)
    second_row_third = as_tensor(sheet[None, 32:64, 64:96])[0]
    assert torch.equal(loaded[52], second_row_third)


def test_grey_is_luma(tmp_path: Path) -> None:
    arrays = picture_folder(tmp_path / "set")
    loaded = load_images(tmp_path / "set", 8, channels=1)
    expected = np.stack([np.asarray(Image.fromarray(a).convert("L")) for a in arrays])
    assert loaded.shape == (3, 1, 8, 8)
    assert (loaded[:, 0].int() - torch.from_numpy(expected).int()).abs().max() <= 1


def folder_of(content: Callable[[bytes], bytes] | None) -> Callable[[Path], Path]:
    """Three pictures, the second of them with other bytes, or a folder."""

    def make(folder: Path) -> Path:
        picture_folder(folder / "set")
        path = folder / "set" / "1.png"
        whole = path.read_bytes()
        path.unlink()
        path.mkdir() if content is None else path.write_bytes(content(whole))
        return folder / "set"

    return make


def zip_of(change: Callable[[bytearray], Any]) -> Callable[[Path], Path]:
    """Two pictures in a zip, its bytes changed."""

    def make(folder: Path) -> Path:
        path = folder / "set.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(2):
                archive.writestr(f"{i}.png", png(np.zeros((64, 64, 3), np.uint8)))
        raw = bytearray(path.read_bytes())
        change(raw)
        path.write_bytes(raw)
        return path

    return make


def encrypt(raw: bytearray) -> None:
    """Set the flag of the first file, and of the directory."""
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1


def file_of(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def one_picture(folder: Path) -> Path:
    picture_folder(folder / "one", n=1)
    return folder / "one"


def no_sheets(folder: Path) -> Path:
    Image.fromarray(random_array(40, 40, 3)).save(folder / "train-0.webp")
    return folder


def cifar_of(keep: int | None) -> Callable[[Path], Path]:
    """A batch that ends early, in an archive of which so many bytes are left."""

    def make(folder: Path) -> Path:
        path = folder / "cifar.tar.gz"
        cifar_archive(path, {"data_batch_1.bin": cifar_batch(random_array(3, 32, 32, 3))[:-5]})
        path.write_bytes(path.read_bytes()[:keep])
        return path

    return make


IDX, GZ = "set-idx3-ubyte", "set-idx3-ubyte.gz"
GOOD = idx(random_array(3, 28, 28))
PRESSED = gzip.compress(GOOD)
DAMAGED: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "nothing here",
    "empty folder": empty_folder,
    "one picture": one_picture,
    "no archive": file_of("set.zip", b"PK no zip"),
    "text file": file_of("list.txt", b"a.png\nb.png\n"),
    "damaged zip": zip_of(lambda raw: raw.__delitem__(slice(len(raw) // 2, None))),
    "damaged deflate": zip_of(lambda raw: raw.__setitem__(slice(35, 45), b"\xff" * 10)),
    "encrypted zip": zip_of(encrypt),
    "no sheets": no_sheets,
    "short archive": cifar_of(None),
    "truncated archive": cifar_of(2000),
    "truncated idx": file_of(IDX, GOOD[:-1]),
    "idx header only": file_of(IDX, GOOD[:10]),
    "idx of labels": file_of(IDX, b"\x00\x00\x08\x01" + GOOD[4:]),
    "idx of nothing": file_of(IDX, idx(random_array(0, 28, 28))),
    "truncated gz": file_of(GZ, PRESSED[:-200]),
    "no gz": file_of(GZ, GOOD),
    "damaged gz": file_of(GZ, PRESSED[:30] + b"\xff" * 40 + PRESSED[70:]),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_bad_source_is_a_value_error_of_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    source = DAMAGED[kind](tmp_path)
    with pytest.raises(ValueError) as caught:
        load_images(source, 32)
    message = str(caught.value)
    assert str(source) in message and "\n" not in message


BROKEN: dict[str, Callable[[Path], Path]] = {
    "no picture": folder_of(lambda raw: b"no picture"),
    "truncated": folder_of(lambda raw: raw[: len(raw) // 2]),
    "broken chunk": folder_of(lambda raw: raw[:33] + b"\0\0\0\n" + raw[37:]),
    "a folder": folder_of(None),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_left_out_and_named(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = BROKEN[kind](tmp_path)
    assert torch.equal(load_images(source, 8), as_tensor(random_array(3, 8, 8, 3)[[0, 2]]))
    [record] = caplog.records
    wanted = f"1 of 3 picture files in {source} cannot be read (1.png) and are left out."
    assert record.getMessage() == wanted


def test_a_broken_member_of_a_zip_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrays = random_array(3, 8, 8, 3)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i, array in enumerate(arrays):
            archive.writestr(f"{i}.png", png(array))
    raw = (tmp_path / "set.zip").read_bytes()
    (tmp_path / "set.zip").write_bytes(raw.replace(png(arrays[1])[-60:], b"?" * 60))
    assert torch.equal(load_images(tmp_path / "set.zip", 8), as_tensor(arrays[[0, 2]]))
    assert "(1.png)" in caplog.text


def test_mixed_folder_is_read_while_half_of_its_pictures_are_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What macOS leaves beside pictures, and texts, are no pictures at all."""
    arrays, folder = picture_folder(tmp_path / "set", n=8), tmp_path / "set"
    for i in range(9):
        (folder / f"._{i}.png").write_bytes(b"\0\5\x16\7")
        (folder / f"{i}.txt").write_text("no picture")
    for i in range(8):
        (folder / f"bad{i}.jpg").write_bytes(png(arrays[i])[:-30])
    assert torch.equal(load_images(folder, 8), as_tensor(arrays))
    assert "8 of 16 picture files" in caplog.text
    assert "(bad0.jpg, bad1.jpg, bad2.jpg, bad3.jpg, bad4.jpg, ...)" in caplog.text
    (folder / "bad8.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"9 of 17 picture files in .* cannot be read \(bad0"):
        load_images(folder, 8)


def test_validation_set_is_found_beside_the_training_set(tmp_path: Path) -> None:
    train, val = tmp_path / "train.zip", tmp_path / "val.zip"
    assert split_validation(train) is None
    val.touch()
    assert (split_validation(train), split_validation(val)) == (val, None)


def test_development_data_loads(data: Path) -> None:
    faces = load_images(data / "celeba-10k" / "val.zip", 64, limit=20)
    assert faces.shape == (20, 3, 64, 64)
    digits = load_images(data / "mnist-10k" / "t10k-images-idx3-ubyte.gz", 28, channels=1)
    assert digits.shape == (10_000, 1, 28, 28)
    assert split_validation(data / "celeba-10k" / "train.zip").name == "val.zip"


def test_selection_and_reporting_share_no_picture() -> None:
    held_out = torch.arange(5)
    selection, reporting = split_held_out(held_out)
    assert [*selection.tolist(), *reporting.tolist()] == held_out.tolist()
    assert len(selection) == 3 and len(split_held_out(held_out[:1])[0]) == 1
