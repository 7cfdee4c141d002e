"""What no visitor gets past: other decoders, data addresses, files of the server."""

from __future__ import annotations

import base64
import io
import os
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from gradio_client import handle_file
from PIL import EpsImagePlugin, Image

from demo.page import DATA_ADDRESS, NO_UPLOAD
from tests.demo.studio import CONTRACT, EPS, PSD, sentence

META = {"meta": {"_type": "gradio.FileData"}}
DOORS = [(e, name) for e, given in CONTRACT.items() for name, v in given.items() if v is ...]
Image.new("RGB", (16, 16)).save(TIFF := io.BytesIO(), "TIFF")
FOREIGN = {"EPS": EPS, "PSD": PSD, "TIFF": TIFF.getvalue()}  # Pillow as it comes opens them


def data_address(content, kind):
    """A picture that comes in its own address."""
    return {"path": None, "url": f"data:{kind};base64,{base64.b64encode(content).decode()}", **META}


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """Ghostscript that only leaves a note of having been started: the note must not be there."""
    note, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{note}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with suppress(OSError):
        EpsImagePlugin.EpsImageFile(io.BytesIO(EPS)).load()
    note.unlink()  # so it works
    yield
    assert not note.exists()


@pytest.fixture(params=DOORS, ids="-".join)
def through(request, client, face_file):
    """What an endpoint says to a picture at one of its doors, with a good one at its others."""
    endpoint, parameter = request.param
    good = {name: handle_file(face_file) for e, name in DOORS if e == endpoint}
    return lambda picture: sentence(
        lambda: client.predict(**good | {parameter: picture}, api_name=endpoint)
    )


@pytest.mark.usefixtures("ghostscript")
def test_a_data_address_is_refused(through, face_file):
    face = Path(face_file).read_bytes()
    for content, kind in ((EPS, "application/postscript"), (face, "image/png")):
        assert through(data_address(content, kind)) == DATA_ADDRESS


def test_a_picture_of_the_server_is_not_read_for_a_bare_path(through, tmp_path, face_file):
    secret = tmp_path / "secret.png"
    secret.write_bytes(Path(face_file).read_bytes())
    for picture in ({"path": str(secret)}, {"path": str(secret), "meta": {}}):
        assert through(picture) == NO_UPLOAD


@pytest.mark.usefixtures("ghostscript")
def test_another_kind_of_file_is_refused_whatever_its_name(through, tmp_path):
    for kind, content in FOREIGN.items():
        path = tmp_path / f"{kind}.png"
        path.write_bytes(content)
        text = through(handle_file(path))
        assert "cannot be read" in text or "no model that translates" in text  # there is none here


@pytest.fixture(scope="module")
def fill(studio, client):
    """Run the Inpaint tab with this document in its box, as a browser does: the last message."""
    api, config = f"{studio[0]}gradio_api", client.config
    ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
    box = ids["inpaint-photo"]
    runs = (d for d in config["dependencies"] if box in d["inputs"] and d["queue"])
    (run,) = (d for d in runs if [box, "release"] not in map(list, d["targets"]))  # not live
    values = {c["id"]: c["props"].get("value") for c in config["components"]}

    def fill(document, session):
        data = [(values | {box: document})[i] for i in run["inputs"]]
        body = {"data": data, "fn_index": run["id"], "session_hash": session}
        httpx.post(f"{api}/queue/join", json=body).raise_for_status()
        with httpx.stream("GET", f"{api}/queue/data?session_hash={session}", timeout=30) as answer:
            return next(line for line in answer.iter_lines() if "process_completed" in line)

    def uploaded(content):
        """A file that has been uploaded under the name of a PNG."""
        files = {"files": ("photo.png", content)}
        (path,) = httpx.post(f"{api}/upload", files=files).json()
        return {"path": path, "orig_name": "photo.png", **META}

    fill.uploaded = uploaded
    return fill


def document(place, picture, good):
    """A document of the photo box with one picture in it that may be bad."""
    file, patch = (picture, good) if place == "file" else (good, picture)
    return {"file": file, "patches": [{"left": 0, "top": 0, "file": patch}], "crop": None}


@pytest.mark.usefixtures("ghostscript", "no_traceback")
@pytest.mark.parametrize("place", ["file", "patch"])
def test_the_photo_box_refuses_what_is_no_upload_and_another_kind_of_file(fill, face_file, place):
    good = fill.uploaded(Path(face_file).read_bytes())
    address = data_address(EPS, "application/postscript")
    assert DATA_ADDRESS in fill(document(place, address, good), f"address-{place}")
    bare = {"path": face_file}
    assert NO_UPLOAD in fill(document(place, bare, good), f"bare-{place}")
    for kind, content in FOREIGN.items():
        foreign = fill.uploaded(content)
        assert "cannot be read" in fill(document(place, foreign, good), f"{kind}-{place}")
    assert "Nothing is marked yet" in fill(document(place, good, good), f"good-{place}")


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("junk", ["x", 7, [1], {"file": 1}, {"file": {}}, {"crop": {}}])
def test_a_document_with_nonsense_becomes_a_sentence(fill, junk):
    assert "status error" in fill(junk, f"junk-{junk}".replace(" ", ""))


def test_files_of_the_server_cannot_be_asked_for(studio, capfd):
    secret, api = {"path": "/etc/passwd", **META}, f"{studio[0]}gradio_api/call/inpaint"
    data = {"data": [secret, secret, 1, 0, "conditional", None, False, None, 0]}
    answer = httpx.post(api, json=data, timeout=30)
    if answer.status_code == 200:
        stream = httpx.get(f"{api}/{answer.json()['event_id']}", timeout=30).text
        assert "event: error" in stream and "root:" not in stream
    capfd.readouterr()  # an attack may leave Gradio's traceback in the log
