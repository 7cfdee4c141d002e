"""A link to the page, as others see it, and its sign."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import httpx

from demo import assets, page


def test_a_link_is_titled_by_the_page_and_not_by_gradio(studio):
    answer = httpx.get(studio[0])
    tags = re.findall(r'<meta (?:property|name)="([a-z:]+)" content="([^"]*)"', answer.text)
    found = dict(tags)
    for name in ("og:title", "og:description", "description", "twitter:card"):
        assert [one for one, _ in tags].count(name) == 1
    assert found["og:title"] == page.TITLE and found["og:description"] == page.PROMISE
    assert not [text for _, text in tags if "radio" in text]
    assert "window.gradio_config" in answer.text  # and the rest of the page is there


def test_the_page_has_its_own_sign(studio):
    sign = httpx.get(f"{studio[0]}favicon.ico")
    assert sign.content == assets.FAVICON.read_bytes() and "svg" in sign.headers["content-type"]
    assert ElementTree.fromstring(sign.text).tag.endswith("svg")
