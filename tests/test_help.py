"""The help of the three scripts: every option with its meaning and its default, and examples."""

from __future__ import annotations

import re

import pytest

import app
import evaluate
import train
from studies import STUDIES

COMMANDS = [(app, ""), (train, ""), (evaluate, "")]
COMMANDS += [(train, name) for name in train.COMMANDS] + [(evaluate, name) for name in STUDIES]


@pytest.fixture(params=COMMANDS, ids=lambda one: f"{one[0].__name__} {one[1]}".strip())
def command(request, capsys):
    """The command line of a script or one of its commands, and its help."""
    script, name = request.param
    with pytest.raises(SystemExit):
        script.parse_arguments([*([name] if name else []), "--help"])
    return f"python {script.__name__}.py {name}".strip(), capsys.readouterr().out


def test_every_option_says_what_it_means_and_what_holds_without_it(command):
    _, text = command
    options = text.split("\noptions:\n")[1].split("\nexamples:")[0]
    for option in re.split(r"\n(?=  -)", options)[1:]:  # the first is --help
        said = option.split("  ", 2)[-1]
        assert len(said.split("(")[0].split()) > 1, option
        assert any(word in said for word in ("default", "without", "required")), option


def test_every_help_has_examples_of_its_own(command):
    line, text = command
    assert line in " ".join(text.split())
