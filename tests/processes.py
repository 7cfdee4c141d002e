"""Work that several processes share, as under ``accelerate launch``."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing import start_processes


def in_processes(count: int, work: Callable[..., object], *arguments: Any) -> None:
    """Call a function of a module in so many processes that know of each other; what one raises.

    A server that has imported what is slow to import forks them: it has no other threads.
    """
    multiprocessing.set_forkserver_preload(["torch", "train"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(_enter, (count, port, work, arguments), count, start_method="forkserver")


def _enter(rank: int, count: int, port: int, work: Callable[..., object], arguments: Any) -> None:
    torch.set_num_threads(1)
    if count > 1:
        group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in group.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    work(*arguments)
