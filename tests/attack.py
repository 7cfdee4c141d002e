"""Hostile, odd and broken calls to a running studio: ``python -m tests.attack http://HOST:PORT``.

Each must be answered within 30 s by a result or by one sentence; and after every 25 the same seed
must still give the same bytes. Exit status 1 if one is not.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import re
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image

API = "/gradio_api"
META = {"meta": {"_type": "gradio.FileData"}}
LIMIT = 30.0  # seconds for an answer
EVERY = 25  # attacks between two looks at the same seed
HINTS = re.compile(r"Traceback|File \"|/tmp|/home|/usr/lib|site-packages|\x00|[\r\n]")
NUMBERS: list[Any] = [
    -1, 0.5, 10**9, 1e300, "7", "abc", "NaN", "", [], [1], {}, {"a": 1}, True, "x" * 1_000_000,
    "a\nb\x00c", "\u202e\ud7ff", -0.0, 1e-320,
]  # fmt: skip
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000)  # numbers that JSON has not
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
TIFF = b"II*\x00\x08\x00\x00\x00" + bytes(64)
PSD = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 16, 16, 8, 3) + bytes(14 + 3 * 16 * 16)


@dataclass
class Attack:
    """One call: what it is, and what it does; what is returned is looked at."""

    name: str
    act: Callable[[], httpx.Response | tuple[str, Any]]


class Studio:
    """A running studio, seen from outside."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address.rstrip("/"), timeout=LIMIT)
        info = self.http.get(f"{API}/info").json()["named_endpoints"]
        self.endpoints = {
            name.strip("/"): [p["parameter_name"] for p in end["parameters"]]
            for name, end in info.items()
        }
        self.defaults = {
            name.strip("/"): [p.get("parameter_default") for p in end["parameters"]]
            for name, end in info.items()
        }
        self.pictures = {
            (name, place)
            for name, names in self.endpoints.items()
            for place, param in enumerate(names)
            if param.startswith("image") or param == "mask"
        }
        self.face = self.upload(png(32), "face.png")
        self.hole = self.upload(png(32, "white"), "hole.png")

    def upload(self, content: bytes, name: str = "photo.png") -> dict[str, Any]:
        """Upload a file: what a call takes."""
        answer = self.http.post(f"{API}/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "orig_name": name, **META}

    def values(self, name: str) -> list[Any]:
        """Good values of a cheap call."""
        given = list(self.defaults[name])
        for place, param in enumerate(self.endpoints[name]):
            if (name, place) in self.pictures:
                given[place] = self.hole if param == "mask" else self.face
            if param == "image_c":
                given[place] = None
            if param in ("steps", "count", "frames") and name not in ("evolve", "interpolate"):
                given[place] = 1
        return given

    def call(self, name: str, data: Any, raw: str | None = None) -> tuple[str, Any]:
        """Call an endpoint: ("complete" or "error", data)."""
        body = raw if raw is not None else json.dumps({"data": data})
        headers = {"Content-Type": "application/json"}
        answer = self.http.post(f"{API}/call/{name}", content=body, headers=headers)
        if answer.status_code != 200:
            return "error", answer.json()
        event = answer.json()["event_id"]
        return self.follow(f"{API}/call/{name}/{event}")

    def follow(self, path: str) -> tuple[str, Any]:
        """The end of a stream of events."""
        kind = ""
        with self.http.stream("GET", path) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind in ("complete", "error"):
                    return kind, json.loads(line.removeprefix("data: "))
        return "error", None

    def fingerprint(self) -> int:
        """Of the picture of a seed."""
        kind, data = self.call("generate", self.values("generate"))
        assert kind == "complete", data
        return zlib.crc32(self.pixels(data[0][0]["path"]))

    def pixels(self, path: str) -> bytes:
        """The pixels of a picture file."""
        content = self.http.get(f"{API}/file={path}").raise_for_status().content
        with Image.open(io.BytesIO(content)) as picture:  # beside the pixels it tells the seconds
            return picture.tobytes()


def png(side: int, colour: str = "tan", **options: Any) -> bytes:
    """A plain picture as a file."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG", **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG file of a huge picture of one bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(height)) + packer.flush()
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bad_values(studio: Studio, rng: random.Random) -> Iterator[Attack]:
    """Numbers and names that no parameter takes, and JSON that is none."""
    places = [(n, i) for n, names in studio.endpoints.items() for i in range(len(names))]
    for (name, place), value in rng.sample([*itertools.product(places, NUMBERS)], 130):
        data = studio.values(name)
        data[place] = value
        what = f"{name}.{studio.endpoints[name][place]} = {str(value)[:20]!r}"
        yield Attack(what, lambda n=name, d=data: studio.call(n, d))
    for raw, name in itertools.product(RAW, studio.endpoints):
        data = studio.values(name)
        place = studio.endpoints[name].index("seed")
        data[place] = "HERE"
        body = json.dumps({"data": data}).replace('"HERE"', raw)
        yield Attack(f"{name}.seed = {raw[:10]}", lambda n=name, b=body: studio.call(n, None, b))


def bad_counts(studio: Studio) -> Iterator[Attack]:
    """Too few and too many values, and data that is no list."""
    for name in studio.endpoints:
        good = studio.values(name)
        for data in ([], good[:-1], [*good, 1], [*good] * 30, {}, "x", None):
            count = f"{len(data)} values" if isinstance(data, list) else f"data = {data!r}"
            yield Attack(f"{name}: {count}", lambda n=name, d=data: studio.call(n, d))


def forged_files(studio: Studio) -> Iterator[Attack]:
    """Files that nobody uploaded."""
    address = f"http://127.0.0.1:{studio.http.base_url.port}/gradio_api/info"
    forged: list[Any] = [
        {"path": "/etc/passwd", **META},
        {"path": "/etc/passwd"},
        {"path": "../../etc/passwd", **META},
        {"path": studio.face["path"] + "/../../x", **META},
        {"path": None, "url": "data:application/postscript;base64,JSFQUw==", **META},
        {"path": None, "url": "data:image/png;base64,AAAA"},
        {"path": address, "url": address, **META},
        {"path": "x", "url": "file:///etc/passwd", **META},
        {"path": None, **META},
        {"path": 7, **META},
        {"path": ["a"], **META},
        {"path": "a\x00b", **META},
        "/etc/passwd",
        7,
        [{"path": "/etc/passwd", **META}],
        {"background": {"path": "/etc/passwd", **META}, "layers": [], "composite": None},
    ]
    for (name, place), file in itertools.product(sorted(studio.pictures), forged):
        data = studio.values(name)
        data[place] = file
        what = f"{name}.{studio.endpoints[name][place]}: {str(file)[:40]}"
        yield Attack(what, lambda n=name, d=data: studio.call(n, d))


def broken_pictures(studio: Studio) -> Iterator[Attack]:
    """Uploads that are no pictures, or strange ones."""
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64)).save(jpeg, "JPEG", comment=b"x" * 60_000)
    contents = {
        "nothing": b"", "text": b"hello", "half a PNG": png(64)[:60], "EPS": EPS, "SVG": SVG,
        "TIFF": TIFF, "PSD": PSD, "a bomb": bomb(14000, 12000), "a larger one": bomb(60000, 60000),
        "one pixel": png(1), "a line": bomb(50000, 8), "HTML": b"<html><script>1</script>",
        "ZIP": b"PK\x03\x04" + bytes(100), "half a JPEG": jpeg.getvalue()[:700],
        "long comment": jpeg.getvalue(), "GIF head": b"GIF89a\xff\xff\xff\xff",
        "BMP": b"BM" + bytes(60), "noise": random.Random(0).randbytes(5000),
        "WebP": b"RIFF\xff\xff\xff\x7fWEBPVP8 " + bytes(40),
    }  # fmt: skip
    for (what, content), name in itertools.product(contents.items(), ("denoise", "inpaint")):

        def act(n: str = name, c: bytes = content) -> tuple[str, Any]:
            data = studio.values(n)
            data[0] = studio.upload(c)
            return studio.call(n, data)

        yield Attack(f"{name}: {what} as photo.png", act)


def strange_requests(studio: Studio) -> Iterator[Attack]:
    """Requests that no page and no client sends."""
    http, deep = studio.http, "[" * 100_000
    text = {"Content-Type": "application/json"}
    gets = [
        "/openapi.json", f"{API}/openapi.json", "/docs", "/monitoring", "/monitoring/summary",
        f"{API}/runs", "/login", "/user", f"{API}/user", f"{API}/dev/reload", "/../etc/passwd",
        f"{API}/file=/etc/passwd", f"{API}/file=/files/../../etc/passwd", f"{API}/file=..%2f..%2fx",
        f"{API}/file=/files/%00", f"{API}/file=http://127.0.0.1/", f"{API}/file=data:text/html,x",
        f"{API}/proxy=http://127.0.0.1/", f"{API}/custom_component/1/x/y/z", "/static/../../x",
        "/assets/%2e%2e/%2e%2e/x", "/svelte/..%2f..%2fx", f"{API}/vibe-code", "/.git/config",
        f"{API}/call/generate/nothing", f"{API}/queue/data?session_hash=nobody",
        f"{API}/upload_progress?upload_id=x", "/" + "a" * 9000, f"{API}/stream/a/b/1/playlist.m3u8",
        "/config?x=%ff%fe", "/?deep_link=../../etc/passwd", f"{API}/deep_link", "/manifest.json/x",
    ]  # fmt: skip
    for path in gets:
        yield Attack(f"GET {path[:60]}", lambda p=path: http.get(p))
    posts: list[tuple[str, str | bytes]] = [
        ("call/nobody", '{"data": []}'), ("call/show_stop", '{"data": []}'),
        ("call/v2/generate", '{"nobody": 1}'), ("call/v2/generate", "[]"), ("call/generate", "{"),
        ("call/generate", ""), ("call/generate", deep), ("call/generate", b"\xff\xfe\x00"),
        ("call/generate", '{"data": "' + "x" * 20_000_000 + '"}'), ("run/generate", '{"data": []}'),
        ("run/predict", '{"data": [], "fn_index": 99999}'), ("run/predict", '{"data": []}'),
        ("run/predict", '{"data": [], "fn_index": -1}'), ("api/generate", '{"data": []}'),
        ("run/predict", '{"data": [], "fn_index": 1, "session_hash": {"a": 1}}'),
        ("queue/join", '{"data": [], "fn_index": 99999, "session_hash": "a"}'),
        ("queue/join", '{"data": [], "session_hash": "a"}'), ("queue/join", "{}"),
        ("queue/join", '{"data": [], "fn_index": "x", "session_hash": "a"}'),
        ("cancel", "{}"), ("cancel", '{"session_hash": "a", "fn_index": 0, "event_id": "b"}'),
        ("reset", '{"event_id": "x"}'), ("reset", "7"), ("component_server", "{}"),
        ("component_server", '{"data": 1, "component_id": 1, "fn_name": "x", "session_hash": "a"}'),
        ("component_server", '{"data": 1, "component_id": "x", "fn_name": [], "session_hash": 1}'),
        ("process_recording", "{}"), ("vibe-edit", "{}"), ("upload", "no form"), ("nobody", "{}"),
    ]  # fmt: skip
    for path, body in posts:
        where = f"{API}/{path}"
        yield Attack(
            f"POST {path} {str(body)[:40]}",
            lambda w=where, b=body: http.post(w, content=b, headers=text),
        )
    many = [("files", (f"{i}.png", bytes(3_000_000))) for i in range(12)]
    yield Attack("twelve files at once", lambda: http.post(f"{API}/upload", files=many))
    wrong = {"files": ("../../../x.png\x00", png(16))}
    yield Attack("a file name that climbs", lambda: http.post(f"{API}/upload", files=wrong))
    for header, value in (
        ("Host", "evil.example"), ("Host", "127.0.0.1.evil.example"), ("Host", "a\tb"),
        ("Origin", "https://evil.example"), ("Origin", "null"), ("Range", "bytes=9-1"),
        ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "javascript"),
        ("Cookie", "visitor=\x7f; ;;="),
        ("Accept-Encoding", "x" * 5000), ("Referer", "x" * 5000), ("Content-Type", "multipart/x"),
    ):  # fmt: skip
        yield Attack(
            f"{header}: {value[:30]}", lambda h=header, v=value: http.get("/", headers={h: v})
        )
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "FOO"):
        yield Attack(f"{method} /", lambda m=method: http.request(m, "/"))

    def stolen() -> httpx.Response:
        owner, thief = {"cookie": "visitor=owner"}, {"cookie": "visitor=thief"}
        file = {"files": ("mine.png", png(33))}
        (path,) = http.post(f"{API}/upload", files=file, headers=owner).json()
        assert http.get(f"{API}/file={path}", headers=owner).status_code == 200
        answer = http.get(f"{API}/file={path}", headers=thief)
        assert answer.status_code == 404, "another visitor's upload was given away"
        return answer

    yield Attack("another visitor's upload", stolen)


def verdict(answer: httpx.Response | tuple[str, Any]) -> str:
    """What is wrong with an answer; nothing if it is a result or one sentence."""
    if isinstance(answer, httpx.Response):
        leak = HINTS.search(str(dict(answer.headers)))
        if "evil.example" in answer.text:
            return "a foreign name is in the page"
        if answer.status_code < 400:
            return f"header: {leak[0]!r}" if leak else ""
        if answer.status_code == 500:
            return "HTTP 500"
        kind, data = "error", answer.json() if answer.text[:1] == "{" else answer.text
    else:
        kind, data = answer
    if kind == "complete":
        found = re.search(r'"(/tmp|/home|/usr|/root|/var)/', json.dumps(data))
        return f"a path: {found[0]}" if found else ""
    said = data.get("detail", data.get("error")) if isinstance(data, dict) else data
    if not isinstance(said, str) or len(said.split()) < 3:
        return f"no sentence: {str(said)[:80]!r}"
    if not said[0].isupper() or said[-1] not in ".!" or len(said) > 400 or HINTS.search(said):
        return f"no clean sentence: {said[:160]!r}"
    return ""


def attack(address: str, seed: int = 0, most: int | None = None) -> tuple[Counter[str], list[str]]:
    """Make attacks in random order, all or so many: how many were answered how, what is wrong."""
    studio, rng = Studio(address), random.Random(seed)
    groups = (bad_counts, forged_files, broken_pictures, strange_requests)
    attacks = [*bad_values(studio, rng), *(one for group in groups for one in group(studio))]
    rng.shuffle(attacks)
    attacks = attacks[:most]
    truth, answers, faults = studio.fingerprint(), Counter[str](), []
    for number, one in enumerate(attacks, start=1):
        try:
            answer = one.act()
            fault = verdict(answer)
            complete = isinstance(answer, tuple) and answer[0] == "complete"
            answers["a result" if complete else "a sentence"] += not fault
        except httpx.TimeoutException:
            fault = f"no answer within {LIMIT:.0f} s"
        except (httpx.HTTPError, ValueError) as error:  # the client itself may refuse to send it
            fault = "" if isinstance(error, httpx.LocalProtocolError) else f"{error!r:.80}"
            answers["not sent"] += not fault
        except (AssertionError, KeyError, TypeError) as error:
            fault = f"{error!r:.120}"
        if fault:
            faults.append(f"{one.name}: {fault}")
        if number % EVERY == 0 and studio.fingerprint() != truth:
            faults.append(f"after {number} attacks the same seed gives other bytes")
    answers["in all"] = len(attacks)
    return answers, faults


def main() -> None:
    """Attack the studio at an address."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="of a running studio (required)")
    parser.add_argument("--seed", type=int, default=0, help="of the order (default: 0)")
    options = parser.parse_args()
    answers, faults = attack(options.address, options.seed)
    for fault in faults:
        print(fault)
    print(", ".join(f"{count} {what}" for what, count in answers.items()))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
