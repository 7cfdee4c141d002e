"""Everything a visitor may hand in as a picture or a mask, good and bad."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from demo.imaging import (
    FORMATS,
    MOST_BYTES,
    PictureError,
    check_hole,
    enlarge,
    fit_square,
    open_picture,
    restrict_decoders,
    to_uint8,
)
from sbcore import preset_holes
from tests.demo.studio import EPS, PSD, refused

HEIC = Path(__file__).parent / "data" / "face.heic"  # a drawn face, red beside it
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3


def scene(width=24, height=16):
    """Red left half, blue right half."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def saved(tmp_path, picture, name, **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def assert_close(pixel, expected, tolerance=0):
    assert np.abs(np.subtract(pixel, expected, dtype=int)).max() <= tolerance, (pixel, expected)


def assert_refused(source, words):
    with refused(PictureError, words):
        open_picture(source)


# ---- open_picture: what is accepted


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.gif", {}),
        ("a.webp", {"lossless": True}),
        ("a.jpg", {"subsampling": 0, "quality": 95}),
    ],
)
def test_opens_every_allowed_format(tmp_path, name, options):
    picture = open_picture(saved(tmp_path, scene(), name, **options))
    assert picture.mode == "RGB" and picture.size == (24, 16)
    assert_close(picture.getpixel((2, 2)), RED, 3 * (name == "a.jpg"))
    assert_close(picture.getpixel((21, 13)), BLUE, 3 * (name == "a.jpg"))


@pytest.mark.parametrize(
    ("orientation", "red_at", "blue_at"),
    [(2, (21, 8), (2, 8)), (6, (8, 2), (8, 21)), (8, (8, 21), (8, 2))],
)
def test_exif_orientation_is_applied(tmp_path, orientation, red_at, blue_at):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, scene(), "turned.jpg", exif=exif, quality=95, subsampling=0)
    picture = open_picture(path)
    assert_close(picture.getpixel(red_at), RED, 4)
    assert_close(picture.getpixel(blue_at), BLUE, 4)


def test_no_metadata_survives(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x8769] = "camera", {0x9003: "2020:01:01 00:00:00"}
    picture = open_picture(saved(tmp_path, scene(), "private.jpg", exif=exif, comment="me"))
    assert not picture.info and not dict(picture.getexif())
    copy = io.BytesIO()
    picture.save(copy, "JPEG")
    assert b"camera" not in copy.getvalue() and b"Exif" not in copy.getvalue()


def over_white(mode, pixel):
    """A picture of a mode, its lower half transparent or black."""
    picture = Image.new(mode, (16, 16))
    picture.paste(pixel, (0, 0, 16, 8))
    return picture


@pytest.mark.parametrize(
    ("picture", "above", "below"),
    [
        (over_white("RGBA", (255, 0, 0, 128)), (255, 127, 127), WHITE),
        (over_white("LA", (100, 255)), (100, 100, 100), WHITE),
        (over_white("1", 1), WHITE, BLACK),
        (over_white("F", 0.5), (128, 128, 128), BLACK),
        (np.zeros((16, 16, 4), np.float32), WHITE, WHITE),
    ],
    ids=["RGBA", "LA", "1", "F", "array"],
)
def test_every_mode_is_laid_over_white(picture, above, below):
    found = open_picture(picture)
    assert_close(found.getpixel((3, 3)), above, 1)
    assert_close(found.getpixel((3, 12)), below)


@pytest.mark.parametrize("name", ["p.png", "p.gif", "key.png"])
def test_a_transparent_colour_becomes_white(tmp_path, name):
    picture = Image.new("RGB", (16, 16), GREEN)
    picture.paste(RED, (0, 8, 16, 16))
    key = RED
    if name.startswith("p"):
        picture = picture.quantize(4)
        key = picture.getpixel((3, 12))
    found = open_picture(saved(tmp_path, picture, name, transparency=key))
    assert found.getpixel((3, 3)) == GREEN and found.getpixel((3, 12)) == WHITE


def test_heic_is_upright_and_private():
    picture = open_picture(HEIC)
    assert b"camera" in HEIC.read_bytes() and not picture.info and not dict(picture.getexif())
    assert picture.size == (160, 128)  # kept on its side in the file
    assert_close(picture.getpixel((150, 64)), (200, 40, 40), 6)


def test_a_truncated_heic_is_refused(tmp_path):
    content = HEIC.read_bytes()
    for share in (0.01, 0.1, 0.5, 0.9):
        (path := tmp_path / "a.heic").write_bytes(content[: int(share * len(content))])
        assert_refused(path, "cannot be read")


def swapped_profile() -> bytes:
    """The profile of sRGB with red and green exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        profile = profile.replace(one, b"....").replace(other, one).replace(b"....", other)
    return profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_a_profile_become_those_of_srgb(tmp_path, mode):
    picture = Image.new("RGB", (16, 16), RED).convert(mode)
    path = saved(tmp_path, picture, "a.png", icc_profile=swapped_profile())
    assert_close(open_picture(path).getpixel((3, 3)), GREEN, 3)


def test_transparency_outlives_a_profile(tmp_path):
    picture = over_white("RGBA", (255, 0, 0, 255))
    path = saved(tmp_path, picture, "a.png", icc_profile=swapped_profile())
    found = open_picture(path)
    assert_close(found.getpixel((3, 3)), GREEN, 3)
    assert found.getpixel((3, 12)) == WHITE


def test_srgb_and_broken_profiles_change_no_pixel(tmp_path):
    pixels = noise(16, 16)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cmyk = srgb.replace(b"RGB XYZ ", b"CMYKXYZ ")  # of another kind of picture
    for profile in (srgb, b"no profile", srgb[:200], swapped_profile()[:-100], cmyk):
        path = saved(tmp_path, Image.fromarray(pixels), "a.png", icc_profile=profile)
        assert np.array_equal(np.asarray(open_picture(path)), pixels), profile[:20]


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_large_texts_and_profiles_are_no_reason_to_refuse(tmp_path, size):
    text = PngImagePlugin.PngInfo()
    text.add_text("history", "x" * size, zip=True)
    picture = open_picture(saved(tmp_path, scene(), "a.png", pnginfo=text, icc_profile=bytes(size)))
    assert picture.size == (24, 16) and not picture.info


def test_sixteen_bits_of_colour_and_alpha(tmp_path):
    """Pillow writes none: rows of big-endian (r, g, b, a), in chunks."""
    row = b"\0" + struct.pack(">4H", 65535, 0, 32896, 65535) * 8 + bytes(8) * 8
    header = struct.pack(">IIBBBBB", 16, 16, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * 16)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    (path := tmp_path / "deep.png").write_bytes(content)
    picture = open_picture(path)
    assert_close(picture.getpixel((3, 3)), (255, 0, 128), 1)
    assert picture.getpixel((12, 3)) == WHITE


def test_cmyk_jpeg(tmp_path):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :8], pixels[:, 8:] = (0, 255, 255, 0), (0, 0, 0, 255)  # red, black
    picture = open_picture(saved(tmp_path, Image.fromarray(pixels, "CMYK"), "a.jpg", quality=95))
    assert_close(picture.getpixel((2, 8)), RED, 6)
    assert_close(picture.getpixel((13, 8)), BLACK, 6)


def test_deep_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    picture = np.asarray(open_picture(saved(tmp_path, Image.fromarray(ramp), "deep.png")))
    assert np.array_equal(picture, np.arange(256).reshape(16, 16, 1).repeat(3, 2))
    ramp = np.array([[-5, 0, 257 * 100, 65535, 70000, 0, 0, 0]] * 8, np.int32)
    picture = np.asarray(open_picture(Image.fromarray(ramp)))
    assert picture[0, :5, 0].tolist() == [0, 0, 100, 255, 255]


def test_arrays_of_every_kind_keep_their_values():
    pixels = noise(8, 9)
    for array in (pixels, pixels / 255, np.float32(pixels / 255), pixels.astype(np.uint16) * 257):
        assert np.array_equal(np.asarray(open_picture(array)), pixels)
    for grey in (pixels[..., 0], pixels[..., :1]):
        assert np.array_equal(np.asarray(open_picture(grey)), pixels[..., :1].repeat(3, 2))
    assert open_picture(np.ones((9, 8, 4), bool)).getpixel((0, 0)) == WHITE


# ---- open_picture: what is refused


def test_pillow_opens_no_other_format_whoever_asks(tmp_path):
    contents = {"EPS": EPS, "PSD": PSD}
    for name in ("TIFF", "ICO", "PPM", "TGA", "PDF"):
        scene(16, 16).save(file := io.BytesIO(), name)
        contents[name] = file.getvalue()
    for again in (restrict_decoders, Image.preinit, Image.init, Image.registered_extensions):
        again()
        assert set(Image.ID) == set(Image.OPEN) == set(FORMATS)
    for name, content in contents.items():
        for ending in (name.lower(), "png", "eps", "tif"):
            path = tmp_path / f"a.{ending}"
            path.write_bytes(content)
            with pytest.raises(UnidentifiedImageError):
                Image.open(path)
    assert set(Image.ID) == set(Image.OPEN) == set(FORMATS)


@pytest.mark.parametrize("name", ["PNG", "GIF", "WEBP", "MPO"])
def test_of_files_of_several_pictures_the_first_is_taken(tmp_path, name):
    """MPO is what phones call JPEG: a photo, and often its depth or its bright parts."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    path = saved(tmp_path, frames[0], "a.jpg", format=name, save_all=True, append_images=frames[1:])
    with Image.open(path) as picture:
        assert picture.format == name and picture.n_frames == 2
    assert_close(open_picture(path).getpixel((8, 8)), RED, 3)


def test_what_is_no_file_is_refused():
    for source in ("", "no/such/file.png", "nul\0byte.png", 7, {"path": "x"}, []):
        assert_refused(source, "cannot be read")


def test_other_files_are_refused_whatever_their_name(tmp_path):
    assert_refused(None, "choose a picture")
    assert_refused(tmp_path, "cannot be read")
    (tmp_path / "text.png").write_text("I am no picture")
    assert_refused(tmp_path / "text.png", "cannot be read")
    assert_refused(saved(tmp_path, scene(), "tiff.png", format="TIFF"), "cannot be read")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif"])
def test_truncated_files_are_refused(tmp_path, name):
    path = saved(tmp_path, Image.fromarray(noise(64, 64)), name)
    content = path.read_bytes()
    for share in (0.02, 0.7):
        path.write_bytes(content[: int(share * len(content))])
        assert_refused(path, "cannot be read")


def test_fifty_megapixels_are_accepted_without_a_warning_and_no_more(tmp_path):
    path = saved(tmp_path, Image.new("1", (8000, 6250)), "photo.png")
    with warnings.catch_warnings(record=True) as warned:
        warnings.resetwarnings()
        restrict_decoders()
        assert open_picture(path).size == (8000, 6250)
    assert not warned
    path = saved(tmp_path, Image.new("1", (8001, 6250)), "larger.png")
    for source in (path, np.zeros((8001, 6250), np.uint8), Image.new("L", (8001, 6250))):
        assert_refused(source, "too large: at most 50 million pixels")


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    """168 million pixels in 20 kB, with nothing behind the header that could be decoded."""
    path = saved(tmp_path, Image.new("1", (16, 16)), "bomb.png")
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 14000, 12000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content[:60])
    assert_refused(path, "too large: at most 50 million pixels")
    with pytest.raises(Image.DecompressionBombError):  # whoever opens it
        Image.open(path)


def test_a_file_of_more_than_25_megabytes_is_refused(tmp_path):
    path = saved(tmp_path, scene(), "a.bmp")
    with path.open("ab") as file:
        file.truncate(MOST_BYTES)
    assert open_picture(path).size == (24, 16)
    with path.open("ab") as file:
        file.truncate(MOST_BYTES + 1)
    assert_refused(path, "too large: at most 25 MB")


def test_too_small_is_refused(tmp_path):
    for size in ((7, 64), (64, 7)):
        assert_refused(saved(tmp_path, Image.new("L", size), "a.png"), "too small")
        assert_refused(np.zeros(size, np.uint8), "too small")


def test_arrays_of_another_kind_or_range_are_refused():
    for shape in (64, (16, 16, 2), (1, 16, 16, 3), (0, 16)):
        assert_refused(np.zeros(shape, np.uint8), "unknown shape or type")
    for array in (np.zeros((16, 16), np.int64), np.array([["a"] * 16] * 16)):
        assert_refused(array, "unknown shape or type")
    for value in (np.nan, np.inf, -np.inf, 255.0, -1.0):
        pixels = np.full((16, 16, 3), 0.5, np.float32)
        pixels[3, 3, 1] = value
        assert_refused(pixels, "between 0 and 1")


# ---- fit_square, to_uint8, enlarge


@pytest.mark.parametrize(
    ("height", "width", "size", "rows", "columns"),
    [
        (64, 64, 64, (0, 64), (0, 64)),  # as it is
        (64, 100, 64, (0, 64), (18, 82)),  # landscape: the middle
        (100, 64, 64, (18, 82), (0, 64)),
    ],
)
def test_what_is_cut_out_is_bit_exact(height, width, size, rows, columns):
    pixels = noise(height, width)
    fitted = fit_square(Image.fromarray(pixels), size)
    assert fitted.dtype == np.float32
    assert np.array_equal(to_uint8(fitted), pixels[slice(*rows), slice(*columns)])


@settings(max_examples=20)
@given(st.integers(8, 300), st.integers(8, 300), st.sampled_from([28, 32, 64]))
def test_any_shape_fits(width, height, size):
    fitted = fit_square(Image.new("RGB", (width, height), (51, 102, 153)), size)
    assert fitted.shape == (size, size, 3)
    assert np.abs(fitted - [0.2, 0.4, 0.6]).max() < 1e-6  # no black border crept in


def test_a_large_reduction_averages():
    checks = Image.fromarray((np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.abs(fit_square(checks, 64)[4:-4, 4:-4] - 0.5).max() < 0.02


def test_to_uint8_rounds_and_clips():
    values = np.array([-0.2, 0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1, 1.7])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255, 255]
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(every.astype(np.float32) / 255), every)


@pytest.mark.parametrize("channels", [1, 3])
def test_enlarge_is_smooth_and_rgb(channels):
    step = np.zeros((8, 8, channels), np.float32)
    step[:, 4:] = 1
    large = np.asarray(enlarge(step, 64))
    assert large.shape == (64, 64, 3)
    assert large[:, :8].max() < 20 and large[:, -8:].min() > 235
    assert len(np.unique(large)) > 8  # a ramp, not a stair


# ---- holes


def test_a_hole_may_be_all_but_not_nothing():
    with refused(PictureError, "Nothing is marked"):
        check_hole(np.zeros((64, 64), bool))
    check_hole(np.ones((64, 64), bool))
    check_hole(np.eye(64, dtype=bool))


# ---- presets


@pytest.mark.parametrize("size", [28, 32, 64, 128])
def test_presets_at_every_size(size):
    holes = preset_holes(size)
    assert list(holes) == ["left half", "right half", "eyes", "mouth", "centre", "75 %"]
    for hole in holes.values():
        assert hole.shape == (size, size) and hole.dtype == bool and 0 < hole.mean() < 1
    assert np.array_equal(holes["left half"], ~holes["right half"])
    assert holes["left half"].mean() == 0.5 == holes["left half"][:, : size // 2].mean() / 2
    assert holes["75 %"].mean() == 0.75 and not holes["75 %"][:, : size // 4].any()
    assert holes["centre"].mean() == pytest.approx(0.25, abs=0.01)
    for name in ("eyes", "mouth", "centre"):
        assert np.array_equal(holes[name], holes[name][:, ::-1]), name


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("eyes", (23, 34), (13, 50)), ("mouth", (42, 54), (17, 46))]
)
def test_face_presets_lie_on_the_face(name, rows, columns):
    hole = preset_holes(64)[name]
    where = np.argwhere(hole)
    assert [tuple(ends) for ends in np.array([where.min(0), where.max(0)]).T] == [rows, columns]
    assert not hole[rows[0], columns[0]]  # rounded
