"""Month names of other languages: full, cut short, with and without accents and points."""

from __future__ import annotations

import pytest

from importer.mapping.month_names import LOCALES, folded_name, locale_named, locales_of, month_numbers


@pytest.mark.parametrize(
    ("locale", "word", "number"),
    [
        ("fr", "juil.", 7),
        ("fr", "FÉVR", 2),
        ("fr", "aout", 8),
        ("de", "Mrz", 3),
        ("de", "Dez.", 12),
        ("es", "sept", 9),
        ("es", "setiembre", 9),
        ("pt", "março", 3),
        ("tr", "Ağu", 8),
        ("ru", "июля", 7),
        ("en", "Sept", 9),
    ],
)
def test_names_are_read(locale: str, word: str, number: int) -> None:
    """As people and spreadsheets write them."""
    assert month_numbers(locale)[folded_name(word)] == number


def test_what_two_months_begin_with_is_no_name() -> None:
    """`jui` is June or July in French."""
    assert "jui" not in month_numbers("fr")


@pytest.mark.parametrize("locale", LOCALES)
def test_each_language_has_twelve_months(locale: str) -> None:
    """None is lost to another that begins alike."""
    assert set(month_numbers(locale).values()) == set(range(1, 13))


@pytest.mark.parametrize(("text", "locale"), [("fr-FR", "fr"), ("DE_at", "de"), ("no", "nb"), ("xx", None)])
def test_locales_are_known_by_their_language(text: str, locale: str | None) -> None:
    """Whatever the country."""
    assert locale_named(text) == locale


def test_the_languages_of_a_word() -> None:
    """For the remedy."""
    assert locales_of("juil") == ["fr"]
    assert set(locales_of("Mai")) >= {"de", "fr", "nb"}
