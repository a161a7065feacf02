"""One catalogue of remedies, complete for every code that a row can end with."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import importer
from importer.errors import ERROR_CODES
from importer.leadsquared.outcomes import Failure
from importer.remedies import (
    CATALOGUE,
    KNOWN_REFUSALS,
    Remedy,
    is_known_refusal,
    remedy_for,
)

CODE_NAMES: Final = frozenset({"code", "error_code"})


def codes_in_the_source() -> set[str]:
    """Every code that the package writes as a text: arguments, comparisons with defaults, what `_code…`
    functions return, and what the catalogue is asked for."""
    found: set[str] = set()
    package = Path(importer.__file__).parent
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0]
        if room in {"sandbox", "app", "sheets"}:  # sheets' codes are number formats
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {text for value in _code_values(node) if (text := _text(value)) and text}
    return {code for code in found if code not in ERROR_CODES or code in CATALOGUE}  # those end no row


def _code_values(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.keyword(arg=arg, value=value) if arg in CODE_NAMES:
            return _branches(value)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in CODE_NAMES:
            return _branches(value)
        case ast.Call(func=ast.Name(id="remedy_for"), args=[value, *_]):
            return _branches(value)
        case ast.Call(func=ast.Name(id="Outcome"), args=[_, value, *_]):
            return _branches(value)
        case ast.FunctionDef(name=name) if name.startswith("_code"):
            returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
            return [branch for value in returned for branch in _branches(value)]
        case _:
            return []


def _branches(value: ast.expr) -> list[ast.expr]:
    match value:
        case ast.IfExp(body=body, orelse=orelse):
            return [*_branches(body), *_branches(orelse)]
        case ast.BoolOp(values=values):
            return [branch for each in values for branch in _branches(each)]
        case _:
            return [value]


def _text(value: ast.expr) -> str:
    """A constant; a formatted status as that of an example."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), ast.FormattedValue()]):
            return f"{text}500"
        case _:
            return ""


CODES: Final = sorted({*KNOWN_REFUSALS, *Failure, *codes_in_the_source()})


def test_the_codes_are_found_in_the_source() -> None:
    """Or the next test would pass for the wrong reason."""
    assert {"interrupted", "gave-up", "no-id", "id-taken", "duplicate", "http-500", "refused"} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
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


@pytest.mark.parametrize("entry", list(CATALOGUE.values()), ids=lambda entry: entry.code)
def test_entries_are_sentences_on_one_line(entry: Remedy) -> None:
    """They stand in cells and in tables."""
    for text in (entry.meaning, entry.action):
        assert text.isprintable()
        assert text[0].isupper()
        assert text.endswith(".")
