"""A stand-in for the Hugging Face Hub: what its client needs to push files and to load them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
API = re.compile(r"/api/(?P<kind>model|space)s/(?P<id>[\w.-]+/[\w.-]+)/(?P<do>\w+)/(?P<ref>[^/]+)")
FILE = re.compile(r"/(?P<space>spaces/)?(?P<id>[\w.-]+/[\w.-]+)/resolve/(?P<ref>\w+)/(?P<path>.+)")


class Hub(ThreadingHTTPServer):
    """Repositories by kind and id; of each the files by branch."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.messages: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Of a program that takes this for the Hub; its cache and settings are in ``home``."""
        said = {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_TOKEN": TOKEN}
        return os.environ | said | {"HF_HUB_OFFLINE": "0"}


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve one on a free port."""
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def sha_of(files: dict[str, bytes]) -> str:
    """The commit that holds these files."""
    digest = hashlib.sha1()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "who are you"}, 401)
        if self.path == "/api/repos/create":
            facts = json.loads(body)
            name = f"{facts['organization']}/{facts['name']}"
            self.server.created[name] = facts
            self.server.repositories.setdefault((facts.get("type", "model"), name), {"main": {}})
            return self.answer({"url": f"{self.server.address}/{name}"})
        if self.path == "/api/validate-yaml":  # of a card
            return self.answer({"errors": [], "warnings": []})
        wanted = API.match(urlsplit(self.path).path)
        branches = self.server.repositories[wanted["kind"], wanted["id"]]
        if wanted["do"] == "branch":
            branches.setdefault(unquote(wanted["ref"]), dict(branches["main"]))
            return self.answer({})
        if wanted["do"] == "preupload":
            kinds = {"uploadMode": "regular", "shouldIgnore": False}
            files = json.loads(body)["files"]
            return self.answer({"files": [{"path": one["path"]} | kinds for one in files]})
        files = branches[unquote(wanted["ref"])]
        for each in map(json.loads, body.splitlines()):
            value = each["value"]
            if each["key"] == "header":
                self.server.messages.append(value["summary"])
            elif each["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif each["key"] == "deletedFile":
                del files[value["path"]]
        sha = sha_of(files)
        url = f"{self.server.address}/{wanted['id']}/commit/{sha}"
        return self.answer({"commitUrl": url, "commitOid": sha})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        wanted = API.match(path) or FILE.match(path)
        if wanted is None:
            return self.answer({}, 404)
        groups = wanted.groupdict()
        kind = groups.get("kind") or ("space" if groups.get("space") else "model")
        branches = self.server.repositories.get((kind, wanted["id"]))
        if branches is None:
            return self.answer({"error": "no"}, 404, {"X-Error-Code": "RepoNotFound"})
        ref = unquote(wanted["ref"])
        found = [one for name, one in branches.items() if ref in (name, sha_of(one))]
        if not found:
            return self.answer({"error": "no"}, 404, {"X-Error-Code": "RevisionNotFound"})
        files = found[0]
        if "path" in groups:
            content = files[unquote(wanted["path"])]
            facts = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": ref}
            return self.answer(content, headers=facts)
        if wanted["do"] == "tree":
            kinds = {"type": "file", "oid": "0" * 40}
            tree = [{"path": k, "size": len(v)} | kinds for k, v in files.items()]
            return self.answer(tree)
        siblings = [{"rfilename": name} for name in files]
        return self.answer({"id": wanted["id"], "sha": sha_of(files), "siblings": siblings})

    do_HEAD = do_GET

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
