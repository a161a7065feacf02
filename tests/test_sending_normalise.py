"""How the tenant may spell a value: what is equal, what is near, what is another value."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.sending.reconcile.normalise import Comparison, fold, id_key, normal, similarity

GUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
VALUES = st.text(min_size=1, max_size=80).filter(str.strip)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Won ", "Won"),
        ("1.50", "1.5"),
        ("1.00", "1"),
        ("-0.0", "0"),
        ("2026-07-31 05:33:50", "7/31/2026 5:33:50 AM"),
        ("2026-07-31 17:33:50", "07/31/2026 5:33:50 pm"),
        ("2026-07-31 00:00:01", "7/31/2026 12:00:01 AM"),
        ("2026-07-31", "2026-07-31 00:00:00.000"),
        ("2026-07-31", "7/31/2026 12:00:00 AM"),
        ("2026-07-31 05:33:50", "/Date(1785476030000+0000)/"),
        (GUID, "{" + GUID.upper() + "}"),
        ("first\r\nsecond", "first\nsecond"),
    ],
)
def test_documented_respellings_are_equal(sent: str, stored: str) -> None:
    """Trimming, and how Retrieve spells numbers, date-times and GUIDs."""
    assert similarity(sent, stored) is Comparison.EQUAL


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Won", "WON"),
        ("a  b", "a b"),
        ("a\u00a0b", "a b"),
        ("R&D", "R&amp;D"),
        ("00123", "123"),
        ("1e5", "100000"),
        ("1,000", "1000"),
        ("1.23456", "1.23"),
        ("1.005", "1.01"),
        ("1.5", "2"),
        ("12345678901234567890", "12345678901234567891"),
        ("1.1", "1.1000000000000001"),
        ("true", "1"),
        ("2026-07-31 05:33:50", "2026-07-31T05:33:50Z"),
        ("2026-07-31 05:33:50", "31/07/2026 05:33:50"),
        ("2026-07-31 05:33:50", "7/31/2026"),
        ("2026-07-31 05:33:50", "/Date(1785476030123+0000)/"),
        ("Łódź 😀", "?ód? ??"),
        ("e\u0301", "é"),
    ],
)
def test_other_spellings_are_near_misses(sent: str, stored: str) -> None:
    """A spelling that a tenant might choose, but is not known to, proves nothing either way."""
    assert similarity(sent, stored) is Comparison.RESPELT


@pytest.mark.parametrize(
    ("sent", "stored"), [("abcdef", "abc"), ("a b c", "A B"), ("a long text", "a long...")]
)
def test_a_stored_start_is_cut_short(sent: str, stored: str) -> None:
    """A field may hold fewer characters than were sent."""
    assert similarity(sent, stored) is Comparison.CUT_SHORT


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Won", "Lost"),
        ("12", "13"),
        ("abc", "abcdef"),
        ("2026-02-01", "2026-01-02"),
        ("2026-07-31 05:33:50", "2026-07-31 05:33:51"),
        ("12345678901234567890", "12345678901234667890"),
        ("1.5", "3"),
        ("00123", "00124"),
    ],
)
def test_real_differences_are_differences(sent: str, stored: str) -> None:
    """No known habit of a tenant makes the one of the other."""
    assert similarity(sent, stored) is Comparison.ALTERED


@given(VALUES)
def test_a_value_is_like_itself_and_normalising_settles(value: str) -> None:
    """`normal` is idempotent, and every value equals itself."""
    assert similarity(value, value) is Comparison.EQUAL
    assert normal(normal(value)) == normal(value)


@given(st.datetimes(min_value=dt.datetime(1000, 1, 1), max_value=dt.datetime(9999, 12, 31)))  # noqa: DTZ001
def test_every_second_is_equal_in_both_documented_spellings(instant: dt.datetime) -> None:
    """The ISO spelling and the American twelve-hour one name the same second."""
    american = (
        f"{instant.month}/{instant.day}/{instant:%Y} {instant.hour % 12 or 12}:{instant:%M:%S} {instant:%p}"
    )
    assert similarity(instant.strftime("%Y-%m-%d %H:%M:%S"), american) is Comparison.EQUAL


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_decimals_equal_themselves_without_their_zeros(number: Decimal) -> None:
    """1.5000 comes back as 1.5."""
    assert similarity(str(number), f"{number:f}".rstrip("0").rstrip(".")) is Comparison.EQUAL


@given(VALUES, VALUES)
def test_equal_values_fold_together(left: str, right: str) -> None:
    """What is equal shares its folded form, so equal rows always share their match key."""
    if normal(left) == normal(right):
        assert fold(left) == fold(right)


@given(st.text(max_size=200))
def test_every_text_has_a_folded_form(value: str) -> None:
    """No input is refused: values come from sheets and from strangers' records."""
    assert isinstance(fold(value), str)


@given(st.text(alphabet="+-.,e0123456789/: TZapm", min_size=1, max_size=70).filter(str.strip))
def test_shapes_close_to_numbers_and_dates_never_fail(value: str) -> None:
    """`+`, `1e`, `99/99/9999 25:61` look like numbers or dates and are none."""
    assert similarity(value, value) is Comparison.EQUAL
    assert similarity(value, "1/2/2026 3:04:05 AM") in set(Comparison)
    assert similarity("1.25", value) in set(Comparison)


def test_ids_are_compared_without_case_and_braces() -> None:
    """Create's answer and Retrieve's list may spell one Id differently."""
    assert id_key(" {" + GUID.upper() + "} ") == GUID
