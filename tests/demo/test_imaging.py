"""Everything a visitor may hand in as a picture or a mask, good and bad."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from demo.imaging import (
    FORMATS,
    PictureError,
    check_hole,
    enlarge,
    fit_square,
    hole_from_editor,
    hole_from_picture,
    hole_overlay,
    open_picture,
    restrict_decoders,
    to_uint8,
)
from sbcore import preset_holes
from tests.demo.studio import EPS, PSD, refused

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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_ordinary_phones_photo_is_accepted_and_a_larger_one_refused(tmp_path):
    path = saved(tmp_path, Image.new("1", (4000, 3000)), "photo.png")
    assert open_picture(path).size == (4000, 3000)
    path = saved(tmp_path, Image.new("1", (4001, 4000)), "bomb.png")
    for source in (path, np.zeros((4001, 4000), np.uint8), Image.new("L", (4001, 4000))):
        assert_refused(source, "too large")


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
        (109, 89, 64, (28, 92), (12, 76)),  # aligned CelebA at half resolution
        (218, 178, 128, (57, 185), (25, 153)),  # and at full
        (64, 100, 64, (0, 64), (18, 82)),  # landscape: the middle
        (100, 64, 64, (13, 77), (0, 64)),  # portrait: a little above the middle
        (66, 64, 64, (0, 64), (0, 64)),
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


# ---- holes from the editor


def layer(size=512, box=(0, 0, 0, 0), alpha=178):
    """RGBA layer painted inside (left, top, right, bottom)."""
    left, top, right, bottom = box
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[top:bottom, left:right] = (255, 51, 85, alpha)
    return pixels


def hole_of(*layers):
    return hole_from_editor({"layers": list(layers)}, 64)


CLEAR_WHITE = np.full((512, 512, 4), (255, 255, 255, 0), np.uint8)


@pytest.mark.parametrize(
    "value",
    [None, {}, {"background": None, "layers": None}, {"layers": [None, layer(), CLEAR_WHITE]}],
)
def test_nothing_drawn(value):
    hole = hole_from_editor(value, 64)
    assert hole.shape == (64, 64) and hole.dtype == bool and not hole.any()


@pytest.mark.parametrize(("alpha", "wrap"), [(1, np.asarray), (255, Image.fromarray)])
def test_paint_of_any_opacity(alpha, wrap):
    expected = np.zeros((64, 64), bool)
    expected[20:40, 10:30] = True
    drawn = wrap(layer(box=(80, 160, 240, 320), alpha=alpha))
    assert np.array_equal(hole_of(drawn), expected)


def test_layers_of_any_size_are_united():
    for side in (32, 64, 200, 768):
        half = hole_of(layer(side, (0, 0, side // 2, side)))
        assert np.array_equal(half, preset_holes(64)["left half"])
    assert hole_of(layer(512, (0, 0, 256, 512)), None, layer(64, (32, 0, 64, 64))).all()


@pytest.mark.parametrize(("painted", "counts"), [(2, True), (1, False)])
def test_edge_pixel_counts_from_a_quarter_on(painted, counts):
    """A block that ends `painted` eighths into the next model pixel."""
    hole = hole_of(layer(box=(80, 80, 160 + painted, 160)))
    assert hole[10:20, 10:20].all() and hole[15, 20] == counts
    assert hole.sum() == 100 + 10 * counts


@pytest.mark.parametrize("offset", range(8))
def test_a_thin_stroke_and_a_dot_never_vanish(offset):
    hole = hole_of(layer(box=(80, 200 + offset, 400, 201 + offset)))
    assert hole[25, 10:50].all() and hole.sum() == 40
    dot = hole_of(layer(box=(300 - offset, 100, 301 - offset, 101)))
    assert np.argwhere(dot).tolist() == [[12, (300 - offset) // 8]]


def test_layer_without_alpha_is_refused():
    for bad in (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64)), "x"):
        with refused(PictureError, "must have transparency"):
            hole_of(bad)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([64, 512, 801]))
def test_any_hole_comes_back_from_the_editor(seed, share, side):
    hole = np.random.default_rng(seed).random((64, 64)) < share
    assert np.array_equal(hole_of(hole_overlay(hole, side)), hole)


def test_overlay_colour_and_transparency():
    hole = preset_holes(64)["mouth"]
    overlay = hole_overlay(hole, 64, colour=(1, 2, 3), alpha=9)
    assert overlay.dtype == np.uint8 and overlay.shape == (64, 64, 4)
    assert (overlay[hole] == (1, 2, 3, 9)).all() and (overlay[~hole] == 0).all()
    assert tuple(hole_overlay(hole, 512)[380, 256]) == (255, 51, 85, 178)


# ---- holes from a picture


def right_half(size):
    pixels = np.zeros((size, size), np.uint8)
    pixels[:, size // 2 :] = 255
    return pixels


def test_white_is_to_be_filled_and_transparency_kept(tmp_path):
    for size in (8, 64, 256):
        path = saved(tmp_path, Image.fromarray(right_half(size)), "mask.png")
        assert np.array_equal(hole_from_picture(path, 64), preset_holes(64)["right half"])
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[..., 3] = right_half(64)
    assert np.array_equal(hole_from_picture(pixels, 64), preset_holes(64)["right half"])


def test_a_mask_is_read_at_its_threshold_and_nearest_pixel():
    pixels = np.full((64, 64), 127, np.uint8)
    pixels[3, 5] = 128
    assert np.argwhere(hole_from_picture(pixels, 64)).tolist() == [[3, 5]]
    pixels = np.zeros((192, 192), np.uint8)
    pixels[1::3, 1::3] = 255  # the middle of each model pixel
    assert hole_from_picture(pixels, 64).all()
    assert not hole_from_picture(255 - pixels, 64).any()


def test_a_mask_as_large_as_its_picture_is_cropped_like_it():
    mask = np.zeros((218, 178), np.uint8)
    mask[57 : 57 + 64, 25 : 25 + 128] = 255  # the upper half of the paper's crop
    hole = hole_from_picture(mask, 64, (178, 218))
    assert hole[:32].all() and not hole[32:].any()
    with refused(PictureError, "square or as large as its picture, not 178 x 218"):
        hole_from_picture(mask, 64, (170, 218))


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
