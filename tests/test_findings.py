"""README's table of findings: each kind that can be found is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest
from readme_made import quoted_words, rows_of, section

import importer
from importer.findings import QUESTIONS, Severity

SLUG: Final = re.compile(r"[a-z]+(-[a-z]+)*")
MAKERS: Final = {"Fault", "CellFinding", "_notice", "self._notice", "self._found"}


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


KINDS: Final = {
    kind: tuple(cells)
    for first, *cells in rows_of(section("## What is found in a sheet"))
    for kind in quoted_words(first)
}
"""By kind: severity, what was found, what to do."""


def test_every_kind_has_an_entry() -> None:
    """A new one needs its line in the table."""
    assert kinds_in_the_code() - set(KINDS) == set()


def test_no_entry_is_left_over() -> None:
    """Each kind of the table is named in the code."""
    code = "\n".join(path.read_text("utf-8") for path in Path(importer.__file__).parent.rglob("*.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in code] == []


@pytest.mark.parametrize("kind", KINDS)
def test_entries_say_what_was_found_and_what_to_do(kind: str) -> None:
    """In full sentences."""
    severity, *texts = KINDS[kind]

    assert severity in set(Severity)
    for text in texts:
        assert text[0].isupper()
        assert text.endswith(".")


def test_only_questions_can_be_accepted() -> None:
    """`accept` names what a person can say is fine; a problem is not."""
    questions = [kind for kind, (severity, _, _) in KINDS.items() if severity == Severity.QUESTION]

    assert questions == list(QUESTIONS)
