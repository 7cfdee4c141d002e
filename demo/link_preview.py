"""What others see of a link to the page; Gradio's own page calls itself Gradio there."""

from __future__ import annotations

import html
import re
from typing import Any

TAG = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
START, BODY = "http.response.start", "http.response.body"


class LinkPreview:
    """ASGI middleware that writes the page's own title and text into it.

    Args:
        app: What serves.
        title: Of the page.
        text: One sentence.
    """

    def __init__(self, app: Any, title: str, text: str) -> None:
        title, text = html.escape(title), html.escape(text)
        self.app = app
        self.tags = (
            f'<meta property="og:type" content="website"><meta property="og:title" '
            f'content="{title}"><meta property="og:description" content="{text}">'
            f'<meta name="description" content="{text}"><meta name="twitter:card" '
            f'content="summary"></head>'
        ).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Change the page alone; all else passes as it comes."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start, parts = {}, []

        async def changed(message: Any) -> None:
            if message["type"] == START:
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = TAG.sub(b"", b"".join(parts)).replace(b"</head>", self.tags, 1)
            length = (b"content-length", str(len(body)).encode())
            kept = [pair for pair in start["headers"] if pair[0].lower() != length[0]]
            await send(start | {"headers": [*kept, length]})
            await send({"type": BODY, "body": body})

        await self.app(scope, receive, changed)
