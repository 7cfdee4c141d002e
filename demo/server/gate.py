"""The gate: what a request may ask for, what an answer may tell."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse

from demo.server import folder as folders
from demo.server.logs import new_request
from demo.server.queue import LISTENERS

log = logging.getLogger(__name__)
API = "/gradio_api"
FILES = "/files"  # what the folder of this start is called outside
COOKIE, HEALTH = "visitor", "/healthz"
MOST_UPLOAD, MOST_BODY = 26 * 1024**2, 16 * 1024**2
LOCAL = ("localhost", "127.0.0.1", "::1")
# What the page and the clients of the API ask for; all else of Gradio's is not served.
READ = re.compile(
    rf"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte)/.+|/healthz|"
    rf"/robots\.txt|/api|{API}/(info/?|startup-events|app_id/?|theme\.css|heartbeat/.+|queue/data|"
    rf"file=.+|upload_progress|call/(v2/)?\w+/\w+|mcp/?.*)"
)
WRITE = re.compile(
    rf"{API}/(upload|queue/join|cancel|reset/?|run/predict/?|component_server/?|"
    rf"call/(v2/)?(?P<name>\w+)/?|mcp/?.*)"
)
STREAM = re.compile(rf"{API}/(queue/data|call/(v2/)?\w+/(?P<event>\w+))")
UPLOADED = re.compile(rf'{FILES}/[^"\\?#]+')
WITH_PATHS = ("application/json", "text/event-stream", "text/html")
NOTHING = "There is nothing at this address."
UNKNOWN = "This run is not known here, or its result has been fetched already."
REASONS = {
    400: "This request cannot be understood.",
    403: "This is not open to you.",
    404: NOTHING,
    405: "This address is not asked in this way.",
    413: "This is too large: at most 25 MB, please.",
    422: 'The body must be JSON: {"data": [the values of the parameters, in order]}.',
    500: "Something went wrong on our side; the studio goes on.",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
}
# Gradio's page has scripts and styles in it and makes functions of texts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' "
    "data:; worker-src 'self' blob:; connect-src 'self' data: blob:; object-src 'none'; base-uri "
    "'self'; form-action 'self'; frame-ancestors {frames}"
)


class Refused(Exception):
    """A request that is not let in: status and sentence."""


@dataclass
class Gate:
    """ASGI middleware between the network and Gradio.

    Args:
        app: Gradio's.
        endpoints: Names that may be called.
        functions: Numbers of the handlers, which the page calls.
        knows: Whether a run, or a session with one, is there to be listened to.
        folder: Temporary files of this start; outside it is called `FILES`.
        hosts: Names beside this machine's that the server may be called by; "*": any.
        frames: Origins beside its own that may show the page in a frame.
        proxied: Whether all requests come from a proxy, which says how it was called itself.
        health: What /healthz says.
        extra: Further pages by path.
    """

    app: Any
    endpoints: Collection[str]
    functions: Collection[int]
    knows: Callable[[str], bool]
    folder: Path
    hosts: Collection[str] = ()
    frames: Collection[str] = ()
    proxied: bool = False
    health: Callable[[], dict[str, Any]] = dict
    extra: dict[str, Callable[[], str]] = field(default_factory=dict)
    _owners: dict[str, set[str]] = field(default_factory=dict)
    """By upload: the visitors who left it."""
    _tidied: float = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or say in one sentence why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name, began = new_request(), time.monotonic()
        scope["request_name"] = name
        answer = Answer(self, scope, send, name)
        try:
            receive = await self._admit(scope, receive)
            if (own := self._own(scope["path"])) is not None:
                await own(scope, receive, answer.send)
                return
            await self._listen(scope, receive, answer)
        except Refused as refusal:
            status, sentence = refusal.args
            await JSONResponse({"detail": sentence}, status)(scope, receive, answer.send)
        except Exception:
            log.exception("a request failed")
            if not answer.begun:
                # Gradio fails there where the names are not those of the parameters.
                status = 422 if "/call/v2/" in scope["path"] else 500
                await JSONResponse({"detail": REASONS[status]}, status)(scope, receive, answer.send)
        finally:
            facts = {"method": scope["method"], "status": answer.status, "request": name}
            facts["seconds"] = round(time.monotonic() - began, 3)
            if scope["method"] == "POST" or answer.status >= 400:
                log.info("request", extra={"facts": facts | {"route": _route(scope["path"])}})

    async def _listen(self, scope: Any, receive: Any, answer: Answer) -> None:
        """Serve what is Gradio's; who reads a stream of events listens to its run."""
        stream = STREAM.fullmatch(scope["path"])
        names = []
        if stream is not None and scope["method"] == "GET":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            names = [stream["event"] or query.get("session_hash", [""])[0]]
            if not self.knows(names[0]):
                raise Refused(404, UNKNOWN)
        LISTENERS.come(*names)
        try:
            await self.app(scope, receive, answer.send)
        finally:
            LISTENERS.go(*names)

    async def _admit(self, scope: Any, receive: Any) -> Any:
        """Check the request: the way to read its body from now on."""
        headers = Headers(scope=scope)
        host = _name_of("//" + headers.get("host", ""))
        if not self._known(host):
            raise Refused(421, "The studio is not served under this name.")
        origin = headers.get("origin")
        if origin is not None and _name_of(origin) != host and not _both_local(origin, host):
            raise Refused(403, "Other sites may not use the studio for their visitors.")
        reading, path = scope["method"] in ("GET", "HEAD"), scope["path"]
        route = (READ if reading else WRITE).fullmatch(path)
        if route is None:
            raise Refused(404, NOTHING)
        if not reading and route["name"] and route["name"] not in self.endpoints:
            raise Refused(404, f"There is no endpoint {route['name']!r:.40}: please look them up.")
        if not self.proxied:
            kept = [pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded")]
            scope["headers"] = kept
        visitor = _cookie(headers)
        if path.startswith(f"{API}/file="):
            self._own_file(scope, visitor)
        if reading:
            return receive
        if path == f"{API}/upload":
            return self._limited(headers, receive)
        return await self._rewritten(scope, headers, receive, visitor)

    def _known(self, host: str) -> bool:
        if host in LOCAL or "*" in self.hosts or host in self.hosts:
            return True
        # An address of numbers: no other site can make a browser call the studio by it.
        return bool(re.fullmatch(r"[\d.]+|[\da-f:]+", host))

    def _own(self, path: str) -> Any:
        """The answer to what is not Gradio's."""
        if path == HEALTH:
            health = self.health()
            return JSONResponse(health, 200 if health.get("status") == "ok" else 503)
        if path == "/robots.txt":
            return PlainTextResponse("User-agent: *\nAllow: /$\nDisallow: /\n")
        return None

    def _own_file(self, scope: Any, visitor: str) -> None:
        """Let a visitor read a file: not another's upload, nothing outside of the folder."""
        name = scope["path"].removeprefix(f"{API}/file=")
        if not name.startswith(f"{FILES}/") or not self._may(name, visitor):
            raise Refused(404, NOTHING)
        path = scope["path"] = f"{API}/file={self.folder}{name.removeprefix(FILES)}"
        scope["raw_path"] = quote(path).encode()

    def _may(self, name: str, visitor: str) -> bool:
        owners = self._owners.get(name)
        return owners is None or "" in owners or visitor in owners

    def _limited(self, headers: Headers, receive: Any) -> Any:
        """The body of an upload, if there is room for it."""
        length = headers.get("content-length", "")
        if not length.isdigit():
            raise Refused(411, "An upload must say how long it is.")
        if int(length) > MOST_UPLOAD:
            raise Refused(413, REASONS[413])
        if time.monotonic() - self._tidied > 10:
            if folders.tidy(self.folder) > folders.MOST_BYTES:
                raise Refused(507, "There is no room for uploads now: please try again later.")
            self._tidied = time.monotonic()
        return receive

    async def _rewritten(self, scope: Any, headers: Headers, receive: Any, visitor: str) -> Any:
        """A body of JSON, read whole, with the names of files as the folder has them."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            if len(body) > MOST_BODY:
                raise Refused(413, "The body is too large: at most 16 MB, please.")
            if not message.get("more_body"):
                break
        if "/mcp" not in scope["path"]:
            self._check_body(scope["path"], body)
        text = body.decode()
        for name in UPLOADED.findall(text):
            if not self._may(unquote(name), visitor):
                raise Refused(404, "This upload is not there: please upload the picture again.")
        body = body.replace(f'"{FILES}/'.encode(), f'"{self.folder}/'.encode())
        length = (b"content-length", str(len(body)).encode())
        scope["headers"] = [p for p in scope["headers"] if p[0] != length[0]] + [length]
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return messages.pop() if messages else await receive()

        return again

    def _check_body(self, path: str, body: bytes) -> None:
        """Refuse what is no JSON, and what is for no handler."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(422, REASONS[422]) from error
        numbered = path.rstrip("/") in (f"{API}/run/predict", f"{API}/queue/join")
        if not isinstance(value, dict):
            raise Refused(422, REASONS[422])
        if numbered and value.get("fn_index") not in self.functions:
            raise Refused(404, "There is no such function on the page: please reload it.")

    def left(self, names: list[str], visitor: str) -> None:
        """Remember whose uploads these are."""
        for name in names:
            self._owners.setdefault(name, set()).add(visitor)
        while len(self._owners) > 10_000:
            del self._owners[next(iter(self._owners))]


class Answer:
    """An answer on its way out: headers are added, paths taken out, refusals are sentences."""

    def __init__(self, gate: Gate, scope: Any, send: Any, request: str) -> None:
        self._gate, self._scope, self._send, self._request = gate, scope, send, request
        self.begun, self.status, self._start, self._parts = False, 0, None, []
        self._uploads = scope["path"] == f"{API}/upload"

    async def send(self, message: Any) -> None:
        """Pass on a message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._dress(message)
            whole = self.status >= 400 or self._uploads
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self._inside = kind.split(";")[0] in WITH_PATHS
            if whole or (self._inside and "event-stream" not in kind):
                self._start = message
                return
            self.begun = True
            await self._send(message)
            return
        if message["type"] != "http.response.body" or self._start is None:
            if message["type"] == "http.response.body" and self._inside:
                message = message | {"body": self._public(message.get("body", b""))}
            await self._send(message)
            return
        self._parts.append(message.get("body", b""))
        if not message.get("more_body"):
            await self._finish()

    async def _finish(self) -> None:
        body = self._public(b"".join(self._parts))
        headers = MutableHeaders(raw=self._start["headers"])
        if self.status >= 400 and self._scope["path"] != HEALTH:
            body = json.dumps({"detail": _sentence(self.status, body)}).encode()
            headers["Content-Type"] = "application/json"
        elif self._uploads:
            self._gate.left(json.loads(body), _cookie(Headers(scope=self._scope)))
        headers["Content-Length"] = str(len(body))
        self.begun = True
        await self._send(self._start | {"headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})

    def _dress(self, message: Any) -> None:
        headers = MutableHeaders(raw=list(message["headers"]))
        headers.update(HEADERS | {"X-Request-Id": self._request})
        frames = " ".join(["'self'", *self._gate.frames])
        headers["Content-Security-Policy"] = POLICY.format(frames=frames)
        if self._scope["path"] == "/" and not _cookie(Headers(scope=self._scope)):
            token = secrets.token_urlsafe(16)
            headers.append("Set-Cookie", f"{COOKIE}={token}; HttpOnly; SameSite=Lax; Path=/")
        message["headers"] = headers.raw

    def _public(self, body: bytes) -> bytes:
        """Without the place of the folder."""
        return body.replace(str(self._gate.folder).encode(), FILES.encode())


def _sentence(status: int, body: bytes) -> str:
    """What is said of a refusal: ours as it is, of Gradio's the reason alone."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    ours = isinstance(detail, str) and detail.endswith(".") and detail.isprintable()
    return detail if ours and "/" not in detail else REASONS.get(status, REASONS[400])


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _both_local(origin: str, host: str) -> bool:
    return _name_of(origin) in LOCAL and host in LOCAL


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _route(path: str) -> str:
    """A path without what is somebody's."""
    known = re.match(rf"{API}/(file=|upload|queue/\w+|run/\w+|call/(v2/)?\w+|\w+)", path)
    return known[0] if known else path[:1]
