"""The catalogue of findings is complete, and README's table is made from it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

import importer
from importer.findings import KINDS, QUESTIONS, FindingKind, Severity
from importer.remedies import findings_table

SLUG: Final = re.compile(r"[a-z]+(-[a-z]+)*")
MAKERS: Final = {"Fault", "NotFound", "CellFinding", "_notice", "self._notice", "self._found"}


def kinds_in_the_code() -> set[str]:
    """Every kind of finding that the package can make, read from its source."""
    found: set[str] = set()
    for path in Path(importer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS:
                given = [*node.args, *(word.value for word in node.keywords if word.arg == "kind")]
                texts = [one.value for one in given if isinstance(one, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and SLUG.fullmatch(text)}
    return found


def test_every_kind_has_an_entry() -> None:
    """A new one needs its line in the catalogue."""
    assert kinds_in_the_code() - set(KINDS) == set()


@pytest.mark.parametrize("entry", list(KINDS.values()), ids=lambda entry: entry.kind)
def test_entries_are_sentences_on_one_line(entry: FindingKind) -> None:
    """They stand in cells and in tables."""
    for text in (entry.meaning, entry.action):
        assert text.isprintable()
        assert text[0].isupper()
        assert text.endswith(".")


def test_only_questions_can_be_accepted() -> None:
    """`accept` names what a person can say is fine; a problem is not."""
    assert {KINDS[kind].severity for kind in QUESTIONS} == {Severity.QUESTION}


def test_the_table_has_a_line_for_each_kind() -> None:
    """With severity, meaning and what to do."""
    head, ruler, *lines = findings_table().splitlines()

    assert (head.count("|"), ruler) == (5, "|---|---|---|---|")
    assert [line.split("`")[1] for line in lines] == list(KINDS)
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
