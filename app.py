"""Schrödinger Bridge Studio: ``python app.py`` opens the studio in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from demo import page
from demo.models import Models


def main() -> None:
    """Read the command line and serve the page."""
    parser = argparse.ArgumentParser(description="Serve Schrödinger Bridge Studio.")
    parser.add_argument("--model", action="append", default=[], help="checkpoint folder or Hub id")
    parser.add_argument("--checkpoints", type=Path, default=Path(__file__).parent / "checkpoints")
    parser.add_argument("--device", help="cpu, cuda, mps; default: the best there is")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free from 7860)")
    parser.add_argument("--share", action="store_true", help="a temporary public address")
    parser.add_argument("--open", action="store_true", help="open a browser")
    options = parser.parse_args()
    models = Models(options.checkpoints, tuple(options.model), options.device)
    page.build(models).launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        inbrowser=options.open,
        **page.LAUNCH,
    )


if __name__ == "__main__":
    main()
