"""One catalogue of remedies, complete for every code that a row can end with."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import importer
from importer.leadsquared.outcomes import Failure
from importer.remedies import (
    CATALOGUE,
    KNOWN_REFUSALS,
    PROBLEMS,
    Remedy,
    is_known_refusal,
    markdown_table,
    problems_table,
    remedy_for,
)

SLUG: Final = re.compile(r"[a-z]+(-[a-z]+)*")


@pytest.mark.parametrize(
    "code",
    [*KNOWN_REFUSALS, *Failure, "http-500", "invalid", "gave-up", "no-id", "id-taken", "uncertain", "double"],
)
def test_every_code_has_an_entry_of_its_own(code: str) -> None:
    """No row ends with a code that the table does not explain."""
    assert code == remedy_for(code).code


@pytest.mark.parametrize(
    ("code", "entry"),
    [
        ("MXInvalidInput", "MXInvalidInputException"),
        ("mxinvalidinputexception", "MXInvalidInputException"),
        ("MXUnknownException", "MXUnknown…Exception"),
        ("MXUnknownErrorException", "MXUnknown…Exception"),
        ("MXNovelException", "another MX…Exception"),
        ("http-308", "http-3xx"),
        ("http-418", "another http-…"),
        ("System.Exception", "refused"),
    ],
)
def test_families_share_an_entry(code: str, entry: str) -> None:
    """Spellings and relatives find their entry too."""
    assert entry == remedy_for(code).code


@settings(deadline=None)
@given(st.text())
def test_any_code_has_words(code: str) -> None:
    """Never an exception, whatever a server calls its errors."""
    assert remedy_for(code).action


@pytest.mark.parametrize(
    "name", ["MXXSSException", "MXXSS", "mxxssexception", "MXUnknownException", "MXUnknownX"]
)
def test_known_refusals_are_known_in_every_spelling(name: str) -> None:
    """With or without the suffix that some answers leave out."""
    assert is_known_refusal(name)


@pytest.mark.parametrize("name", ["", "MX", "MXNovelException", "InvalidInput", "XMXXSSException"])
def test_others_are_not(name: str) -> None:
    """They may be passing failures."""
    assert not is_known_refusal(name)


def kinds_in_the_code() -> set[str]:
    """Every kind of problem that the package can find, read from its source."""
    found: set[str] = set()
    for path in Path(importer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Fault", "NotFound", "Problem"}:
                texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and SLUG.fullmatch(text)}
    return found


def test_every_kind_of_problem_has_an_entry() -> None:
    """A new one needs its line in the catalogue."""
    assert kinds_in_the_code() - set(PROBLEMS) == set()


@pytest.mark.parametrize("entry", [*CATALOGUE.values(), *PROBLEMS.values()], ids=lambda entry: entry.code)
def test_entries_are_sentences_on_one_line(entry: Remedy) -> None:
    """They stand in cells and in tables."""
    for text in (entry.meaning, entry.action):
        assert text.isprintable()
        assert text[0].isupper()
        assert text.endswith(".")


@pytest.mark.parametrize(
    ("table", "codes"), [(markdown_table(), list(CATALOGUE)), (problems_table(), list(PROBLEMS))]
)
def test_the_tables_have_a_line_for_each_entry(table: str, codes: list[str]) -> None:
    """README's troubleshooting tables are made from them."""
    head, ruler, *lines = table.splitlines()

    assert (head.count("|"), ruler) == (4, "|---|---|---|")
    assert [line.split("`")[1] for line in lines] == codes
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
