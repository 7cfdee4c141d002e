"""The page of the HTTP API: what it lists holds, and its examples run as they are printed."""

from __future__ import annotations

import asyncio
import html
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from demo import reference
from demo.cli import OPERATIONS
from tests.demo.studio import CONTRACT, serving
from tests.demo.test_cli import mask, offered, picture  # noqa: F401

PAGE = reference.page(OPERATIONS.values())
ROW = re.compile(r'<th scope="row"><code>(\w+)</code></th>.*?<td><code>([^<]*)</code></td></tr>')
CODE = re.compile(r"<pre[^>]*><code>(.*?)</code></pre>", re.S)
SECTIONS = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', PAGE, re.S))


def test_it_lists_every_parameter_with_its_default_as_the_endpoint_has_it():
    assert {f"/{name}" for name in SECTIONS} == CONTRACT.keys()
    for name, section in SECTIONS.items():
        rows = ROW.findall(section)
        found = {one: html.unescape(default) for one, default in rows}
        wanted = CONTRACT[f"/{name}"]
        shown = {one: "required" if v is ... else json.dumps(v) for one, v in wanted.items()}
        assert found == shown
        for param in OPERATIONS[name].params:
            assert not param.http or html.escape(param.kind(), quote=False) in section


def test_it_is_well_formed_and_fetches_nothing():
    opened = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag != "script" and not {"src", "onclick"} & {name for name, _ in attributes}
            if tag not in ("meta", "br"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Checker().feed(PAGE)
    assert not opened and "url(" not in PAGE and "@import" not in PAGE
    links = set(re.findall(r'href="([^"]+)"', PAGE))
    assert links == {"/", *(f"#{name}" for name in OPERATIONS)}


def test_it_is_served_beside_the_studio_and_leaves_all_else_alone():
    async def studio(scope, receive, send):
        await send({"type": "studio"})

    served = reference.Reference(studio, OPERATIONS.values())

    def ask(path: str, method: str = "GET") -> list:
        sent: list = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": path, "method": method}
        asyncio.run(served(scope, None, send))
        return sent

    start, body = ask("/api")
    assert start["status"] == 200 and body["body"].decode() == PAGE
    assert (b"content-type", b"text/html; charset=utf-8") in start["headers"]
    assert ask("/") == ask("/api", "POST") == [{"type": "studio"}]


@pytest.fixture(scope="module")
def address(offered):  # noqa: F811
    with serving(offered) as (address, _):
        yield address.rstrip("/")


@pytest.mark.parametrize("name", OPERATIONS)
def test_its_examples_run_as_they_are_printed(name, address, offered, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").symlink_to(offered)
    for param, value in OPERATIONS[name].example.items():
        if str(value).endswith(".png"):
            (mask() if param == "mask" else picture(1)).save(value)
    printed = [html.unescape(one) for one in CODE.findall(SECTIONS[name])]
    client, curl, _, local = (one.replace(reference.ADDRESS, address) for one in printed)
    exec(client, found := {})
    assert found["report"]["seed"] == 17
    answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
    assert "event: complete" in answer and '"seed": 17' in answer
    exec(local, found := {})
    assert found["result"].report.seed == 17 and list(Path("results").iterdir())
