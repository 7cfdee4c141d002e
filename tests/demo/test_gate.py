"""What no visitor gets past: other decoders, data addresses, files of the server."""

from __future__ import annotations

import base64
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import EpsImagePlugin, Image, PsdImagePlugin, TiffImagePlugin

from demo.page import DATA_ADDRESS, NO_UPLOAD
from tests.demo.studio import CONTRACT, EPS, PSD, sentence

META = {"meta": {"_type": "gradio.FileData"}}
DOORS = [(e, name) for e, given in CONTRACT.items() for name, v in given.items() if v is ...]
PLACES = ["background", "layers", "composite"]  # in the editor
DECODERS = {
    "EPS": EpsImagePlugin.EpsImageFile,
    "PSD": PsdImagePlugin.PsdImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}


def foreign(kind: str) -> bytes:
    """A picture of another kind, which Pillow as it comes does open."""
    tiff = io.BytesIO()
    Image.new("RGB", (16, 16)).save(tiff, "TIFF")
    content = {"EPS": EPS, "PSD": PSD, "TIFF": tiff.getvalue()}[kind]
    DECODERS[kind](io.BytesIO(content))
    return content


def data_address(content: bytes, kind: str) -> dict[str, Any]:
    """A picture that comes in its own address."""
    return {"path": None, "url": f"data:{kind};base64,{base64.b64encode(content).decode()}", **META}


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ghostscript that only leaves a note of having been started: the note."""
    note, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{note}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with suppress(OSError):
        EpsImagePlugin.EpsImageFile(io.BytesIO(EPS)).load()
    note.unlink()  # so it works
    return note


def through(door: tuple[str, str], client: Client, face_file: str, picture: Any) -> Any:
    """Call the endpoint of a door with this picture there, and a good one at its others."""
    endpoint, parameter = door
    good = {name: handle_file(face_file) for e, name in DOORS if e == endpoint}
    return client.predict(**good | {parameter: picture}, api_name=endpoint)


@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_a_data_address_is_refused(
    client: Client, face_file: str, ghostscript: Path, door: tuple[str, str]
) -> None:
    for picture in (
        data_address(EPS, "application/postscript"),
        data_address(foreign("TIFF"), "image/png"),
        data_address(Path(face_file).read_bytes(), "image/png"),
    ):
        text = sentence(lambda picture=picture: through(door, client, face_file, picture))
        assert text == DATA_ADDRESS
    assert not ghostscript.exists()
    assert client.predict(handle_file(face_file), count=1, api_name="/denoise")[1]


@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_a_picture_of_the_server_is_not_read_for_a_bare_path(
    client: Client, tmp_path: Path, face_file: str, door: tuple[str, str]
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(Path(face_file).read_bytes())
    for picture in ({"path": str(secret)}, {"path": str(secret), "meta": {}}):
        assert (
            sentence(lambda picture=picture: through(door, client, face_file, picture)) == NO_UPLOAD
        )


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("door", DOORS, ids="-".join)
def test_another_kind_of_file_is_refused_whatever_its_name(
    client: Client,
    face_file: str,
    ghostscript: Path,
    tmp_path: Path,
    door: tuple[str, str],
    kind: str,
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(foreign(kind))
    text = sentence(lambda: through(door, client, face_file, handle_file(path)))
    assert "cannot be read" in text or door[0] == "/translate"  # which has no model here
    assert not ghostscript.exists()


def fill(studio: tuple[str, Any], client: Client, drawing: Any, session: str) -> str:
    """Run the Inpaint tab with this in its editor, as a browser does: the last message."""
    api, config = f"{studio[0]}gradio_api", client.config
    (editor,) = (c["id"] for c in config["components"] if c["type"] == "imageeditor")
    (run,) = (d for d in config["dependencies"] if editor in d["inputs"] and d["queue"])
    values = {c["id"]: c["props"].get("value") for c in config["components"]} | {editor: drawing}
    body = {"data": [values[i] for i in run["inputs"]], "fn_index": run["id"]}
    httpx.post(f"{api}/queue/join", json=body | {"session_hash": session}).raise_for_status()
    with httpx.stream("GET", f"{api}/queue/data?session_hash={session}", timeout=30) as answer:
        return next(line for line in answer.iter_lines() if "process_completed" in line)


def layered(place: str, picture: Any) -> dict[str, Any]:
    """An editor with one picture in it."""
    empty = {"background": None, "layers": [], "composite": None}
    return empty | {place: [picture] if place == "layers" else picture}


def uploaded(studio: tuple[str, Any], content: bytes) -> dict[str, Any]:
    """A file that has been uploaded under the name of a PNG."""
    files = {"files": ("layer.png", content)}
    (path,) = httpx.post(f"{studio[0]}gradio_api/upload", files=files).json()
    return {"path": path, "orig_name": "layer.png", **META}


@pytest.mark.parametrize("place", PLACES)
def test_the_editor_refuses_a_data_address(
    studio: tuple[str, Any], client: Client, ghostscript: Path, place: str
) -> None:
    drawing = layered(place, data_address(EPS, "application/postscript"))
    assert DATA_ADDRESS in fill(studio, client, drawing, f"address-{place}")
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("place", PLACES)
def test_the_editor_refuses_another_kind_of_file(
    studio: tuple[str, Any],
    client: Client,
    face_file: str,
    ghostscript: Path,
    capfd: pytest.CaptureFixture[str],
    place: str,
    kind: str,
) -> None:
    drawing, session = layered(place, uploaded(studio, foreign(kind))), f"{kind}-{place}"
    assert '"success":false' in fill(studio, client, drawing, session)
    assert not ghostscript.exists()
    capfd.readouterr()  # Gradio writes a traceback of what it could not open
    good = layered(place, uploaded(studio, Path(face_file).read_bytes()))
    assert "There is no picture" in fill(studio, client, good, f"{session}-good")


@pytest.mark.parametrize("kind", DECODERS)
def test_the_canvas_refuses_another_kind_of_picture(
    studio: tuple[str, Any],
    client: Client,
    face_file: str,
    ghostscript: Path,
    capfd: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    """In a browser the editor sends its layers by a way of their own."""
    (editor,) = (c["id"] for c in client.config["components"] if c["type"] == "imageeditor")

    def drawn(content: bytes, name: str) -> str:
        form = {"component_id": editor, "session_hash": name, "fn_name": "accept_blobs"}
        layer = {"type": "layer", "index": "0", "id": name}
        address = f"{studio[0]}gradio_api/component_server"
        httpx.post(address, data=form | layer, files={"file": ("blob", content)}).raise_for_status()
        return fill(studio, client, {"id": name}, name)

    assert '"success":false' in drawn(foreign(kind), f"canvas-{kind}")
    assert not ghostscript.exists()
    capfd.readouterr()  # as above
    assert "There is no picture" in drawn(Path(face_file).read_bytes(), f"canvas-{kind}-good")


def test_files_of_the_server_cannot_be_asked_for(
    studio: tuple[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    secret = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    data = {"data": [secret, secret, 1, 0, "conditional", None]}
    answer = httpx.post(f"{studio[0]}gradio_api/call/inpaint", json=data, timeout=30)
    if answer.status_code == 200:
        event = answer.json()["event_id"]
        stream = httpx.get(f"{studio[0]}gradio_api/call/inpaint/{event}", timeout=30).text
        assert "event: error" in stream and "root:" not in stream
    capfd.readouterr()  # an attack may leave Gradio's traceback in the log
