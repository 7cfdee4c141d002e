"""Files and film strips, read back and looked at."""

import io
import json
import logging
import zipfile
from pathlib import Path

import gradio as gr
import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image, ImageChops

from demo import media
from demo.imaging import to_image, to_uint8
from demo.media import MediaError, animation, film_strip, normalise_contrast, save_png
from tests.demo.studio import pixels, recipe

RECIPE = {"model": "celeba64", "seed": 17, "nfe": 20, "title": "Brücke \u03c3"}


def plain(value, channels=3, side=16):
    return np.full((side, side, channels), value, np.float32)


def ramp(count):
    """Frames from black to white."""
    return [plain(k / max(1, count - 1)) for k in range(count)]


def noise(scale=1.0):
    return (scale * np.random.default_rng(0).standard_normal((64, 64, 3))).astype(np.float32)


def read_film(path):
    with imageio.get_reader(path) as reader:
        return [np.asarray(frame) for frame in reader], reader.get_meta_data()


def levels(frames):
    """Mean of each frame on a scale of 0 to 1."""
    return [frame.mean() / 255 for frame in frames]


# ---- save_png


def test_png_is_lossless_and_carries_its_recipe(tmp_path):
    picture = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    path = save_png(picture, tmp_path, "face", RECIPE)
    assert path == tmp_path / "face.png"
    assert recipe(path) == RECIPE | {"pixels": media.digest(picture)}
    assert np.array_equal(pixels(path), to_uint8(picture))
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "RGB" and list(image.text) == ["recipe"]
    grey = pixels(save_png(plain(0.5, channels=1), tmp_path, "grey", {}))
    assert grey.shape == (16, 16) and (grey == 128).all()
    strip = film_strip(ramp(3), "abc")
    path = save_png(strip, str(tmp_path), "strip", RECIPE)
    assert np.array_equal(pixels(path), np.asarray(strip))
    assert recipe(path) == RECIPE | {"pixels": media.digest(strip)}


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_large_png_is_packed_fast_and_lossless_with_its_recipe(mode):
    shape = (1100, 1000, len(mode)) if len(mode) > 1 else (1100, 1000)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    png = media.png_bytes(picture, RECIPE)
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == picture.mode == mode
        assert np.array_equal(np.asarray(image), np.asarray(picture))
        assert json.loads(image.text["recipe"]) == RECIPE | {"pixels": media.digest(picture)}
    assert not Image.open(io.BytesIO(media.png_bytes(picture))).text


def test_a_digest_is_of_the_pixels_as_a_file_holds_them(tmp_path):
    picture = np.random.default_rng(0).random((8, 12, 3)).astype(np.float32)
    name = media.digest(picture)
    with Image.open(save_png(picture, tmp_path, "a", RECIPE)) as image:
        assert media.digest(image) == name
    others = [np.rot90(picture), picture.reshape(12, 8, 3), picture[..., :1], picture * 0.9]
    assert len({name, *map(media.digest, others)}) == 5
    strip = to_image(picture)
    assert media.digests([[picture, picture], others[0], strip]) == [name, media.digest(others[0])]


def test_a_strip_that_carries_its_recipe_keeps_it_in_any_png(tmp_path):
    strip = media.with_recipe(film_strip(ramp(2), "ab"), RECIPE)
    own = RECIPE | {"picture": "film strip", "pixels": media.digest(strip)}
    (tmp_path / "a.png").write_bytes(media.png_bytes(strip))
    assert recipe(tmp_path / "a.png") == own
    with gr.Blocks():  # as Gradio writes it
        shown = gr.Image(format="png").postprocess(strip)
    assert recipe(shown.path) == own


# ---- jpeg_bytes, zip_bytes


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_near_the_picture_at_any_size(channels):
    ramps = np.linspace(0, 1, 48 * 40 * channels, dtype=np.float32).reshape(40, 48, channels)
    with Image.open(io.BytesIO(media.jpeg_bytes(ramps))) as image:
        assert image.format == "JPEG" and image.size == (48, 40)
        far = np.asarray(image, int).reshape(40, 48, channels) - to_uint8(ramps)
    assert abs(far).max() <= 8


def test_a_jpeg_of_a_strip_lies_on_white():
    with Image.open(io.BytesIO(media.jpeg_bytes(film_strip(ramp(2), "ab")))) as image:
        assert image.mode == "RGB" and image.getpixel((0, 0)) == (255, 255, 255)


def test_a_zip_holds_its_files_as_they_were():
    files = {"00.png": media.png_bytes(plain(0.5)), "recipe.json": b"{}"}
    with zipfile.ZipFile(io.BytesIO(media.zip_bytes(files))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


# ---- animation


def test_mp4_frames_size_and_index(tmp_path):
    path = animation(ramp(9), tmp_path, "film")
    assert path == tmp_path / "film.mp4"
    frames, meta = read_film(path)
    assert len(frames) == 9 + 8 and frames[0].shape == (256, 256, 3)
    assert meta["fps"] == 12 and meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p")
    assert levels(frames) == pytest.approx([k / 8 for k in range(9)] + [1] * 8, abs=0.02)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # it plays while it loads


def test_mp4_keeps_colours_and_names_them(tmp_path):
    colours = [(0.8, 0.2, 0.2), (0.2, 0.7, 0.3), (0.2, 0.3, 0.9), (0.85, 0.65, 0.5)]
    frames = [np.ones((16, 16, 3), np.float32) * np.float32(colour) for colour in colours]
    frames, meta = read_film(animation(frames, tmp_path, "film", hold=0, side=64))
    for frame, colour in zip(frames, colours, strict=True):
        assert frame.mean((0, 1)) / 255 == pytest.approx(colour, abs=0.02)
    assert "bt709" in meta["pix_fmt"]


def test_boomerang_comes_back_and_holds_both_ends(tmp_path):
    path = animation(ramp(5), tmp_path, "film", hold=2, boomerang=True, side=32)
    way = [0, 0.25, 0.5, 0.75, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0]
    assert levels(read_film(path)[0]) == pytest.approx(way, abs=0.03)


@pytest.mark.parametrize(("side", "expected"), [(33, 34), (50, 50)])
def test_sides_are_even_and_otherwise_free(tmp_path, caplog, side, expected):
    frames, _ = read_film(animation(ramp(2), tmp_path, "film", hold=0, side=side))
    assert len(frames) == 2 and frames[0].shape == (expected, expected, 3)
    assert not caplog.records  # imageio warns when it resizes by itself


def test_grey_frames_speed_and_one_frame(tmp_path):
    frames, meta = read_film(animation([plain(0.5, 1)], tmp_path, "film", fps=25, hold=0, side=32))
    assert len(frames) == 1 and meta["fps"] == 25
    assert np.abs(frames[0].astype(int) - 128).max() <= 3
    batch = np.zeros((3, 16, 16, 3), np.float32)  # an array of frames is a sequence too
    assert len(read_film(animation(batch, tmp_path, "batch", hold=1, side=32))[0]) == 4
    with pytest.raises(ValueError, match="at least one frame"):
        animation([], tmp_path, "none")


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_gif_and_webp_play_for_ever_and_come_back(tmp_path, kind):
    path = animation(ramp(5), tmp_path, "film", fps=10, hold=0, side=32, boomerang=True, kind=kind)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / f"film.{kind}"]
    with Image.open(path) as film:
        assert film.format == kind.upper() and film.info["loop"] == 0 and film.n_frames == 9
        shades = []
        for index in range(9):
            film.seek(index)
            shades.append(np.asarray(film.convert("L")).mean() / 255)
            assert film.info["duration"] == 100
    there = [k / 4 for k in range(5)]
    assert shades == pytest.approx(there + there[-2::-1], abs=0.03)
    assert len(imageio.mimread(path, memtest=False)) == 9


@pytest.mark.parametrize("kind", media.FILMS)
def test_a_wide_film_keeps_its_shape(tmp_path, kind):
    frames = [np.full((20, 61, 1), k / 2, np.float32) for k in range(3)]
    path = animation(frames, tmp_path, "film", hold=0, side=40, kind=kind)
    assert imageio.mimread(path, memtest=False)[0].shape[:2] == (40, 122)


def test_webp_when_ffmpeg_is_missing(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    with caplog.at_level(logging.WARNING):
        path = animation(ramp(3), tmp_path, "film", fps=10, hold=0, side=32)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / "film.webp"]
    assert "WebP" in caplog.text
    with Image.open(path) as film:
        assert film.format == "WEBP" and film.n_frames == 3 and film.size == (32, 32)
        assert film.info["loop"] == 0
        for index in range(3):
            film.seek(index)
            shade = np.asarray(film.convert("L")).mean() / 255
            assert shade == pytest.approx(index / 2, abs=0.02) and film.info["duration"] == 100


def test_webp_when_ffmpeg_loses_frames_silently(tmp_path, monkeypatch):
    monkeypatch.setattr(media.imageio_ffmpeg, "count_frames_and_secs", lambda _: (1, 0.1))
    path = animation(ramp(2), tmp_path, "film", fps=10, hold=0, side=32)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / "film.webp"]


# ---- disk errors


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (lambda folder: save_png(plain(0), folder, "x", {}), "x.png"),
        (lambda folder: animation(ramp(2), folder, "x", side=32), "x.webp"),
    ],
    ids=["png", "film"],
)
def test_a_full_disk_and_a_folder_that_cannot_be_made(tmp_path, save, name):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    for ending in ("png", "mp4", "webp"):
        (tmp_path / f"x.{ending}").symlink_to("/dev/full")
    with pytest.raises(MediaError) as error:
        save(tmp_path)
    assert str(error.value) == f"{name} could not be saved: No space left on device."
    assert not (tmp_path / name).is_symlink()  # no half file
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match=f"^{name} could not be saved: .*\\.$"):
        save(tmp_path / "file")


# ---- film_strip

TITLES = [("stage 1: point mass to q_\u03c3", 12), ("stage 2: to the picture", 12)]


def tile_centres(strip, count, columns, head, tile=96):
    """Colour at the middle of each tile, from the documented layout of the strip."""
    step, row_height = tile + media.GAP, head + tile + 2 * tile // 5
    middle = media.MARGIN + tile // 2
    spots = [divmod(index, columns) for index in range(count)]
    places = [(middle + column * step, middle + row * row_height + head) for row, column in spots]
    return [strip.getpixel(place)[0] for place in places]


def bars_of(strip, colour):
    """(top, left, right) of each bar: the runs of at least 90 pixels of exactly this colour."""
    exact = (np.asarray(strip) == (*colour, 255)).all(-1)
    bars = []
    for top in range(1, len(exact)):
        if exact[top].sum() > 90 and exact[top - 1].sum() < 90:
            columns = np.flatnonzero(exact[top + 1])  # below the rounded corners
            bars.append((top, int(columns[0]), int(columns[-1])))
    return bars


def difference(one, other):
    """Box of what two strips differ in."""
    return ImageChops.difference(one, other).getbbox(alpha_only=False)


@pytest.mark.parametrize(("groups", "head"), [((), 0), (TITLES, media.BAR + 96 // 4)])
def test_strip_shows_every_frame_in_order(groups, head):
    strip = film_strip(ramp(24), [str(k) for k in range(24)], groups)
    assert strip.mode == "RGBA" and strip.width == 2 * media.MARGIN + 12 * 96 + 11 * media.GAP
    assert tile_centres(strip, 24, 12, head) == [round(k / 23 * 255) for k in range(24)]
    assert strip.getpixel((0, 0)) == media.PAPER


def test_labels_stand_under_their_tiles():
    labelled = film_strip(ramp(3), ["", "t = 0.5", ""])
    left, top, right, bottom = difference(labelled, film_strip(ramp(3), ["", "", ""]))
    assert top >= media.MARGIN + 96 and bottom <= labelled.height - media.MARGIN
    assert (left + right) / 2 == pytest.approx(labelled.width / 2, abs=2)


def test_groups_are_bars_above_their_frames_and_wrap_with_them():
    strip = film_strip(ramp(24), [""] * 24, TITLES)
    (first,), (second,) = (bars_of(strip, colour) for colour in media.GROUP_COLOURS[:2])
    assert first[1:] == second[1:] == (media.MARGIN, strip.width - media.MARGIN - 1)
    assert first[0] < media.MARGIN + media.BAR + 96 // 4 < second[0]
    strip = film_strip(ramp(10), [""] * 10, [("a", 5), ("b", 4)], columns=4)
    left, step = media.MARGIN, 96 + media.GAP
    spans = [[bar[1:] for bar in bars_of(strip, c)] for c in media.GROUP_COLOURS[:2]]
    assert spans[0] == [(left, left + 3 * step + 95), (left, left + 95)]
    assert spans[1] == [(left + step, left + 3 * step + 95), (left, left + 95)]


def test_long_texts_are_cut_to_their_place():
    strip = film_strip(ramp(2), ["a label much wider than its tile", ""], [("w" * 60, 1), ("", 1)])
    _, _, right, _ = difference(strip, film_strip(ramp(2), ["", ""], [("", 1), ("", 1)]))
    assert right <= media.MARGIN + 96 + 1


@pytest.mark.parametrize(
    ("exotic", "spelled"),
    [("q_\u03c3", "q_sigma"), ("\u03c4 \u2192 0", "tau to 0"), ("1\u20132", "1-2")],
)
def test_what_the_font_lacks_is_spelled_out(exotic, spelled):
    assert difference(film_strip(ramp(2), [exotic, ""]), film_strip(ramp(2), [spelled, ""])) is None


@pytest.mark.parametrize(
    ("count", "labels", "groups"), [(0, [], []), (2, ["a"], []), (2, ["a", "b"], [("x", 3)])]
)
def test_strip_that_does_not_add_up(count, labels, groups):
    with pytest.raises(ValueError, match="film strip"):
        film_strip(ramp(count), labels, groups)


# ---- normalise_contrast


def test_noise_is_shrunk_into_view():
    frame = 0.5 + noise(scale=3.0)
    shown = normalise_contrast(frame)
    assert shown.dtype == np.float32 and shown.shape == frame.shape
    assert shown.min() == 0 and shown.max() == 1  # the tails beyond two deviations
    assert 0.2 < shown.std() < 0.25 and shown.mean() == pytest.approx(0.5, abs=0.02)
    inside = (shown > 0) & (shown < 1)
    expected = frame.mean() + (frame - frame.mean()) * 0.25 / frame.std()
    assert shown[inside] == pytest.approx(expected[inside], abs=1e-5)


def test_clean_picture_is_left_alone():
    for frame in (np.clip(0.5 + noise(scale=0.15), 0, 1), plain(0.3)):
        assert np.array_equal(normalise_contrast(frame), frame)
