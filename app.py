"""Schrödinger Bridge Studio: ``python app.py`` opens the studio in a browser."""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path

import gradio

from demo import page
from demo.models import Models
from demo.server import budget
from demo.server.queue import CAPACITY
from demo.server.serve import own_names, serve
from demo.server.turns import TURNS

EXAMPLES = """examples:
  python app.py                                     what is in checkpoints/, on this machine
  python app.py --open --device cpu                 and a browser with it
  python app.py --model runs/mine --port 8000       your own model first
  python app.py --mcp                               and the operations as tools for programs
  python app.py --model someone/model --host 0.0.0.0  a model of the Hub, for the whole network
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Serve Schrödinger Bridge Studio: the page, and its HTTP API.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="checkpoint folder or Hub repository id to offer before all others; may be given "
        "several times (default: none)",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path(__file__).parent / "checkpoints",
        help="folder of checkpoint folders, all of which are offered (default: checkpoints/ "
        "beside this file)",
    )
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument(
        "--host", help="address to listen on; 0.0.0.0: all (default: this machine only)"
    )
    parser.add_argument(
        "--port", type=int, help="port to listen on (default: the first free from 7860)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        help="name that the studio may be called by in addresses, beside this machine's; may be "
        "given several times; *: any (default: none)",
    )
    parser.add_argument(
        "--public",
        action="store_true",
        help="strangers use it: limit what a run, a visitor and all may compute (default: on for "
        "Spaces, else off)",
        default="SPACE_ID" in os.environ,
    )
    parser.add_argument(
        "--together",
        type=int,
        default=1,
        metavar="N",
        help="runs that may compute at once and share the calls of the network: more pictures a "
        "second for many visitors, but whoever else is there moves a pixel in some ten thousand "
        "by 1/255 (default: 1)",
    )
    parser.add_argument(
        "--behind-proxy",
        action="store_true",
        help="trust what a proxy says in X-Forwarded headers (default: off)",
    )
    parser.add_argument(
        "--share", action="store_true", help="a temporary public address (default: off)"
    )
    parser.add_argument(
        "--open", action="store_true", help="open the page in a browser (default: off)"
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="serve the operations as MCP tools, too, at /gradio_api/mcp/ (default: off)",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.together <= CAPACITY:
        parser.error(f"--together must be from 1 to {CAPACITY}, got {options.together}.")
    if options.mcp and importlib.util.find_spec("mcp") is None:
        parser.error(f"--mcp needs a package: pip install 'gradio[mcp]=={gradio.__version__}'.")
    return options


def main() -> None:
    """Read the command line and serve the page."""
    options = parse_arguments()
    if options.public:
        budget.restrict()
    TURNS.together = options.together
    models = Models(options.checkpoints, tuple(options.model), options.device)
    serve(
        lambda: page.build(models),
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        inbrowser=options.open,
        hosts=(*own_names(), *options.allow_host),
        proxied=options.behind_proxy,
        mcp_server=options.mcp or None,  # None: as the environment says
        **page.LAUNCH,
    )


if __name__ == "__main__":
    main()
