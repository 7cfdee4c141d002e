"""``python app.py --mcp``: the published operations as tools, called by an MCP client."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from demo.cli import OPERATIONS
from tests.conftest import REPOSITORY
from tests.demo.test_app import started

mcp = pytest.importorskip("mcp", reason="the package mcp is not installed: gradio[mcp]")
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402


@pytest.fixture(scope="module")
def ask(checkpoints):
    """Do something with a session of a client, connected to a server of its own."""
    options = ["--mcp", "--checkpoints", str(checkpoints)]
    with started(REPOSITORY, *options) as (address, _):

        def done(what: Callable[[Any], Any]) -> Any:
            async def within() -> Any:
                async with (
                    streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _),
                    mcp.ClientSession(read, write) as session,
                ):
                    await session.initialize()
                    return await what(session)

            return asyncio.run(within())

        yield done


def test_the_tools_are_the_operations_with_their_words(ask):
    tools = {tool.name: tool for tool in ask(lambda session: session.list_tools()).tools}
    assert tools.keys() == OPERATIONS.keys()
    for name, operation in OPERATIONS.items():
        assert tools[name].description.startswith(operation.doc.split("\n")[0])
        declared = {param.name: param for param in operation.params if param.http}
        offered = tools[name].inputSchema["properties"]
        assert offered.keys() == declared.keys()
        for one, param in declared.items():
            assert param.describe() == f"{one}: {offered[one]['description']}"


def test_a_tool_draws(ask):
    def call(**given: Any) -> Any:
        return ask(lambda session: session.call_tool("generate", {"steps": 2} | given))

    answer = call(count=2, seed=5)
    assert not answer.isError
    pictures, report = ast.literal_eval(answer.content[0].text)
    assert report["seed"] == 5 and report["steps"] == 2 and len(pictures) == 2
    for one in pictures:
        assert httpx.get(one["url"]).content.startswith(b"\x89PNG")
    refused = call(count=99)
    assert refused.isError and "The number of pictures must be" in refused.content[0].text
