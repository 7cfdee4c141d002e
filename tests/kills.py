"""Kill training at random moments, resume it, and compare with a run that was left alone.

Each trial starts `train.py` anew, sends SIGKILL at a random moment, asks whether what is there
loads, goes on with ``--resume`` and compares every weight, average and moment bit for bit.

Example: python -m tests.kills --count 20
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch._dynamo  # training imports it, and every child would have to

import train
from sbcore import load
from sbcore.features import load_features
from sbcore.runtime import checkpoints
from sbcore.runtime.trainer import STATE, states
from tests.data.idx import idx_file

# Saves after every step and measures often, so that many kills hit a write.
RUN = "--cpu --precision fp32 --save-minutes 1e-9"
STEPS = f"{RUN} --evaluate-minutes 0.002 --batch-size 8"
SMALL = "--preset digits --channels 8 8 --blocks 1 1 --attention 0 0 --rank 4"
SCORE = f"score --data DATA {SMALL} {STEPS}"
COUNTERS = ("step", "images", "done", "branched", "half")  # the others depend on the clock
DSB = "dsb --source moons --target spirals --steps 3 --half-steps 8 --iterations 2"


@dataclass
class Kind:
    """A command whose training is killed."""

    command: str
    """Arguments of train.py; DATA is put in."""
    training: str = ""
    """Folder of its state; without, it has none."""
    published: str = "config.json"
    """File that is there once something is published."""
    before: tuple[str, ...] = field(default=())
    """Commands that are done before it."""
    load: Callable[[Path], object] = load
    """Loads what is published."""
    same: tuple[str, ...] = ()
    """Published files whose weights must be the same bytes at the end."""


TRUNK = f"{SCORE} --open-ended --max-minutes 1e-9"
MODEL = f"{SCORE} --images 16"
KINDS = {
    "score": Kind(f"{SCORE} --images 128", "training"),
    "score, Muon": Kind(f"{SCORE} --images 96 --optimizer muon --long-ema 0.2", "training"),
    "score --finish": Kind(f"{SCORE} --finish 128", "training-finish", before=(TRUNK,)),
    "ratio": Kind(
        f"ratio --data DATA --images 160 --channels 4 {STEPS}", "training-ratio", "ratio.json",
        before=(MODEL,),
    ),
    "mixture": Kind(
        "mixture --data DATA --components 4 --overwrite", before=(MODEL,),
        same=("mixture.safetensors",),
    ),
    "features": Kind(
        f"features --data DATA --size 16 --grey --images 128 {STEPS}", "training-features",
        "features.json", load=load_features,
    ),
    "dsb": Kind(
        f"{DSB} --batch-size 16 --cache 64 --evaluate 32 {RUN}", "training",
        same=("model.safetensors",),
    ),
}  # fmt: skip


@dataclass
class Tally:
    """What the trials of one kind found."""

    kills: int = 0
    writing: int = 0
    """Kills in the middle of a write."""
    early: int = 0
    """Kills before the first state."""
    loaded: int = 0
    resumed: int = 0


def start(words: list[str], log: Path) -> int:
    """Run train.py in a child of this process, which need not import it again; its process id."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        with log.open("ab", 0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["train.py", *words]
        status = train.main()
    finally:
        os._exit(status)


class Trials:
    """Trials of one kind, in a folder."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.whole = kind, {}
        self.log, self.base, self.out = folder / "log", folder / "base", folder / "mine"
        self.base.mkdir(parents=True)
        self.data = idx_file(folder / "data" / "train-images-idx3-ubyte.gz", 60, 28)
        self.tally, self.state = Tally(), f"{kind.training}/{STATE}"

    def words(self, command: str, *more: str) -> list[str]:
        """Arguments of train.py."""
        words = [str(self.data) if word == "DATA" else word for word in command.split()]
        return [*words, "--out", str(self.out), *more]

    def run(self, command: str, *more: str) -> bool:
        """Run a command to its end; False, and what it said, if it failed."""
        _, status = os.waitpid(start(self.words(command, *more), self.log), 0)
        if status:
            print(self.log.read_text()[-2000:], file=sys.stderr)
        return status == 0

    def renew(self) -> None:
        """Put the folder back to where the command begins."""
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.base, self.out)

    def left_alone(self) -> float:
        """Run without a kill what the others are compared with; its seconds."""
        self.renew()
        for command in self.kind.before:
            assert self.run(command)
        shutil.rmtree(self.base)
        if self.out.exists():
            shutil.copytree(self.out, self.base)
        began = time.monotonic()
        assert self.run(self.kind.command)
        seconds = time.monotonic() - began
        self.whole = self.result()
        return seconds

    def result(self) -> dict[str, object]:
        """All that must not depend on the kill."""
        files = [*self.kind.same, *([self.state] if self.kind.training else [])]
        found: dict[str, object] = {}
        for file in files:
            tensors, facts = checkpoints.load_tensors(self.out / file)
            found |= {f"{file} {name}": x.numpy().tobytes() for name, x in tensors.items()}
            counters = json.loads(facts.get("counters", "{}"))
            found |= {name: counters[name] for name in COUNTERS if name in counters}
        return found

    def loads(self) -> bool:
        """Whether what is published loads; if nothing is, there is nothing to lose."""
        try:
            if (self.out / self.kind.published).exists():
                self.kind.load(self.out)
        except checkpoints.CheckpointError as error:
            print(error, file=sys.stderr)
            return False
        return True

    def writing(self) -> bool:
        """Whether a file is half written."""
        return any(self.out.rglob(f".*{checkpoints.PART}"))

    def trial(self, after: float, aimed: bool) -> bool:
        """Kill a run after so many seconds, or in the next write; False if it ends before."""
        self.renew()
        child = start(self.words(self.kind.command), self.log)
        time.sleep(after)
        while not (ended := os.waitpid(child, os.WNOHANG)[0]) and aimed and not self.writing():
            pass
        if ended:
            return False
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        tally = self.tally
        tally.kills += 1
        tally.writing += self.writing()
        tally.early += bool(self.kind.training) and not states(self.out / self.kind.training)
        tally.loaded += self.loads()
        resume = ["--resume"] if self.kind.training else []
        done = self.run(self.kind.command, *resume) and self.loads()
        tally.resumed += done and self.result() == self.whole
        return True


def kill(kind: Kind, folder: Path, count: int, moments: random.Random) -> Tally:
    """So many trials of a kind; every other kill waits for a write."""
    trials = Trials(kind, folder)
    seconds = trials.left_alone()
    while trials.tally.kills < count:
        trials.trial(moments.uniform(0, seconds), aimed=trials.tally.kills % 2 == 1)
    return trials.tally


def main(arguments: list[str] | None = None) -> int:
    """Entry point; 1 if a run was lost or changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20, help="kills of each kind (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="kinds")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # also what a child may inherit
    moments, good = random.Random(options.seed), True
    print("| kind | kills | before a state | in a write | loadable | resumed bit for bit | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.only:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = kill(KINDS[name], Path(folder), options.count, moments)
        numbers = (found.kills, found.early, found.writing, found.loaded, found.resumed)
        row = " | ".join(map(str, numbers))
        print(f"| {name} | {row} | {time.monotonic() - began:.0f} |", flush=True)
        good &= found.kills == found.loaded == found.resumed
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
