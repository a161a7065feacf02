"""One catalogue of remedies, complete for every code that a row can end with."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.leadsquared.outcomes import Failure
from importer.remedies import (
    CATALOGUE,
    KNOWN_REFUSALS,
    Remedy,
    is_known_refusal,
    markdown_table,
    remedy_for,
)


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


@pytest.mark.parametrize("entry", list(CATALOGUE.values()), ids=lambda entry: entry.code)
def test_entries_are_sentences_on_one_line(entry: Remedy) -> None:
    """They stand in cells and in tables."""
    for text in (entry.meaning, entry.action):
        assert text.isprintable()
        assert text[0].isupper()
        assert text.endswith(".")


def test_the_table_has_a_line_for_each_entry() -> None:
    """README's troubleshooting table is made from them."""
    head, ruler, *lines = markdown_table().splitlines()

    assert (head.count("|"), ruler) == (4, "|---|---|---|")
    assert [line.split("`")[1] for line in lines] == list(CATALOGUE)
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
