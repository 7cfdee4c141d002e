"""What the gate lets in, and what answers tell."""

from __future__ import annotations

import json

import httpx
import pytest

from demo.server.gate import FILES
from tests.attack import png, verdict

API = "/gradio_api"
FORM = {"files": ("photo.png", png(32))}


@pytest.fixture(scope="module")
def http(studio):
    with httpx.Client(base_url=studio[0], timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/openapi.json", "/docs", "/monitoring", f"{API}/openapi.json", f"{API}/vibe-code", "/.env"],
)
def test_what_is_not_meant_to_be_public_is_not_there(http, path):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json() == {"detail": "There is nothing at this address."}


def test_no_private_handler_has_a_name(http, client):
    private = [d["api_name"] for d in client.config["dependencies"] if d["queue"]]
    private = {name for name in private if f"/{name}" not in client.view_api(return_format="dict")}
    assert http.post(f"{API}/call/guarded", json={"data": []}).status_code == 404
    assert http.post(f"{API}/call/no_such", json={"data": []}).status_code == 404
    assert "guarded" in private


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "192.168.1.7:7860"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    ],
)
def test_other_names_and_other_sites_are_refused(http, headers, status):
    answer = http.get("/", headers=headers)
    assert answer.status_code == status and not verdict(answer)


def test_the_page_believes_no_forwarded_name(http):
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    assert "evil.example" not in http.get("/", headers=forwarded).text
    assert "gopher:" not in http.get("/config", headers=forwarded).text


def test_every_answer_carries_the_headers(http):
    for path in ("/", "/config", "/no", f"{API}/info", "/theme.css"):
        headers = http.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy
        assert len(headers["X-Request-Id"]) == 8


def test_no_answer_tells_where_files_lie(http, client, face_file):
    (path,) = http.post(f"{API}/upload", files=FORM).json()
    assert path.startswith(f"{FILES}/")
    assert http.get(f"{API}/file={path}").content == FORM["files"][1]
    pages = [http.get(where).text for where in ("/", "/config", f"{API}/info")]
    assert not any('"/tmp' in page or "/site-packages" in page for page in pages)
    files, _ = client.predict(steps=1, api_name="/generate")
    assert files


def test_an_upload_is_its_visitors_own(http):
    """Who has no cookie is a program: its upload is known to nobody by its name."""
    owner, thief = {"Cookie": "visitor=owner"}, {"Cookie": "visitor=thief"}
    form = {"files": ("mine.png", png(40, "teal"))}
    (path,) = http.post(f"{API}/upload", files=form, headers=owner).json()
    assert http.get(f"{API}/file={path}", headers=owner).status_code == 200
    assert http.get(f"{API}/file={path}", headers=thief).status_code == 404
    assert http.get(f"{API}/file={path}").status_code == 404
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call = {"data": [file, 1.0, 1, 0, None, "add noise", None]}
    assert http.post(f"{API}/call/denoise", json=call, headers=thief).status_code == 404
    assert http.post(f"{API}/call/denoise", json=call, headers=owner).status_code == 200
    http.post(f"{API}/upload", files=form, headers=thief)  # now it is theirs, too
    assert http.get(f"{API}/file={path}", headers=thief).status_code == 200


def test_a_browser_is_given_a_cookie_once(http):
    http.cookies.clear()
    first = http.get("/")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite" in cookie
    again = http.get("/", headers={"Cookie": cookie.split(";")[0]})
    assert "Set-Cookie" not in again.headers
    http.cookies.clear()


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("call/generate", "{", 422),
        ("call/generate", "[]", 422),
        ("call/generate", "[" * 100_000, 422),
        ("call/generate", json.dumps({"data": "x" * 17_000_000}), 413),
        ("queue/join", '{"data": [], "fn_index": 99999, "session_hash": "a"}', 404),
        ("call/v2/generate", '{"nobody": 1}', 422),
        ("upload", "no form", 400),
    ],
)
@pytest.mark.usefixtures("no_traceback")
def test_bodies_that_cannot_be_used_get_one_sentence(http, path, content, status, caplog):
    headers = {"Content-Type": "application/json"}
    answer = http.post(f"{API}/{path}", content=content, headers=headers)
    assert answer.status_code == status and not verdict(answer)
    caplog.clear()  # the last of them is logged


def test_too_much_at_once_is_not_taken(http):
    many = [("files", (f"{i}.png", bytes(3_000_000))) for i in range(12)]
    answer = http.post(f"{API}/upload", files=many)
    assert answer.status_code == 413 and not verdict(answer)


def test_who_asks_for_a_run_that_is_not_there_is_told(http):
    for path in (f"{API}/call/generate/nothing", f"{API}/queue/data?session_hash=nobody"):
        answer = http.get(path)
        assert answer.status_code == 404 and "not known" in answer.json()["detail"]


def test_hosts_ask_for_health_and_robots_stay_out(http):
    health = http.get("/healthz").json()
    assert health["status"] == "ok" and health["runs"] == 0 and "tiny" in health["models"]
    assert "Disallow: /" in http.get("/robots.txt").text
