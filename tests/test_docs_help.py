"""The examples in `--help` can be typed as they stand."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import Importer
from readme_made import commands


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_parser_takes_the_examples_of_help(name: str, importer: Importer) -> None:
    """Each is a command line without a mistake, up to the files that it names."""
    examples = re.findall(r"^ +importer (.+)$", importer(name, "--help").stdout, re.MULTILINE)

    taken = []
    for example in examples:
        command, *arguments = shlex.split(example.split(" > ")[0])
        commands()[command].make_context(command, arguments)  # raises what typer says about a mistake
        taken.append(command)
    assert set(taken) == {name}
