"""Cells → dates and date-times: formats, zones, clock changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.mapping.dates import DateFormat, DateTimeValue, DateValue, FormatError
from importer.mapping.values import Fault
from importer.sheets.rows import BooleanCell, DateCell, NumberCell

BERLIN = ZoneInfo("Europe/Berlin")


def day(cell: str, *formats: str) -> str:
    """The date sent, or the fault's kind behind an exclamation mark."""
    read = DateValue(formats).read(cell)
    return f"!{read.kind}" if isinstance(read, Fault) else read


def instant(cell: str, *formats: str, zone: str = "Europe/Berlin") -> str:
    """The date-time sent, or the fault's kind behind an exclamation mark."""
    read = DateTimeValue(ZoneInfo(zone), formats).read(cell)
    return f"!{read.kind}" if isinstance(read, Fault) else read


@pytest.mark.parametrize(
    ("cell", "formats", "expected"),
    [
        ("31/07/2026", ["%d/%m/%Y"], "2026-07-31"),
        ("1/7/2026", ["%d/%m/%Y"], "2026-07-01"),
        ("31.07.26", ["%d.%m.%y"], "2026-07-31"),
        ("31.07.99", ["%d.%m.%y"], "1999-07-31"),
        ("31 JUL 2026", ["%d %b %Y"], "2026-07-31"),
        ("31 July 2026", ["%d %b %Y"], "2026-07-31"),
        ("31 Sept 2026", ["%d %b %Y"], "!no-such-date"),
        ("July 4, 2026", ["%B %d, %Y"], "2026-07-04"),
        ("Fri 31/07/2026", ["%a %d/%m/%Y"], "2026-07-31"),
        ("Mon 31/07/2026", ["%a %d/%m/%Y"], "!no-such-date"),
        ("01072026", ["%d%m%Y"], "2026-07-01"),
        ("1072026", ["%d%m%Y"], "!not-a-date"),
        ("212/2026", ["%j/%Y"], "2026-07-31"),
        ("31/07/2026", ["%m/%d/%Y"], "!no-such-date"),
        ("31/07/2026", ["%m/%d/%Y", "%d/%m/%Y"], "2026-07-31"),
        ("03/04/2026", ["%m/%d/%Y", "%d/%m/%Y"], "2026-03-04"),
        ("31/02/2026", ["%d/%m/%Y"], "!no-such-date"),
        ("29/02/2027", ["%d/%m/%Y"], "!no-such-date"),
        ("31/07/2026 10:00", ["%d/%m/%Y"], "!not-a-date"),
        ("31/07/2026 10:00", ["%d/%m/%Y %H:%M"], "2026-07-31"),
        ("31/07/26", ["%d/%m/%Y"], "!not-a-date"),
        ("31/07/2026", ["%d/%m/%y"], "!not-a-date"),
        ("31/07/2026x", ["%d/%m/%Y"], "!not-a-date"),
        ("31  07  2026", ["%d %m %Y"], "2026-07-31"),
        ("٣١/٠٧/٢٠٢٦", ["%d/%m/%Y"], "2026-07-31"),
        ("1 \u017fep 2026", ["%d %b %Y"], "!not-a-date"),
        ("2026-07-31", [], "2026-07-31"),
        ("2026-07-31 00:00:00", [], "2026-07-31"),
        ("2026-07-31 10:00", [], "!not-a-date"),
        ("31/07/2026", [], "!not-a-date"),
        ("46234", [], "!not-a-date"),
        ("NA", [], "!not-a-date"),
        ("31/07/0026", ["%d/%m/%Y"], "0026-07-31"),
    ],
)
def test_dates_are_read_by_their_formats(cell: str, formats: list[str], expected: str) -> None:
    assert day(cell, *formats) == expected


@pytest.mark.parametrize(
    ("cell", "formats", "expected"),
    [
        ("31/07/2026 10:30", ["%d/%m/%Y %H:%M"], "2026-07-31 08:30:00"),
        ("31/01/2026 10:30:59", ["%d/%m/%Y %H:%M:%S"], "2026-01-31 09:30:59"),
        ("31/07/2026 12:30 AM", ["%d/%m/%Y %I:%M %p"], "2026-07-30 22:30:00"),
        ("31/07/2026 12:30 pm", ["%d/%m/%Y %I:%M %p"], "2026-07-31 10:30:00"),
        ("31/07/2026 13:30 pm", ["%d/%m/%Y %I:%M %p"], "!no-such-date"),
        ("31/07/2026 24:00", ["%d/%m/%Y %H:%M"], "!no-such-date"),
        ("31/07/2026", ["%d/%m/%Y"], "2026-07-30 22:00:00"),
        ("31/07/2026 10:30 +0530", ["%d/%m/%Y %H:%M %z"], "2026-07-31 05:00:00"),
        ("2026-07-31T10:30:00Z", [], "2026-07-31 10:30:00"),
        ("2026-07-31T10:30:00.750+02:00", [], "2026-07-31 08:30:00"),
        ("2026-07-31 10:30", [], "2026-07-31 08:30:00"),
        ("2026-07-31", [], "2026-07-30 22:00:00"),
        ("10:30", [], "!not-a-date"),
        ("01/01/0001 00:00", ["%d/%m/%Y %H:%M"], "!no-such-date"),
    ],
)
def test_date_times_are_sent_in_utc(cell: str, formats: list[str], expected: str) -> None:
    assert instant(cell, *formats) == expected


@pytest.mark.parametrize(
    ("cell", "zone", "expected"),
    [
        ("2026-03-29 01:59", "Europe/Berlin", "2026-03-29 00:59:00"),
        ("2026-03-29 02:30", "Europe/Berlin", "!no-such-time"),
        ("2026-03-29 03:00", "Europe/Berlin", "2026-03-29 01:00:00"),
        ("2026-10-25 02:30", "Europe/Berlin", "!ambiguous-time"),
        ("2026-10-25 02:30+02:00", "Europe/Berlin", "2026-10-25 00:30:00"),
        ("2026-10-25 03:00", "Europe/Berlin", "2026-10-25 02:00:00"),
        ("2026-04-24", "Africa/Cairo", "2026-04-23 22:00:00"),
        ("2026-04-24 00:00", "Africa/Cairo", "!no-such-time"),
    ],
)
def test_a_time_that_the_clocks_skip_or_repeat_is_a_fault(cell: str, zone: str, expected: str) -> None:
    """A day without a time begins when it begins, even where midnight is skipped."""
    assert instant(cell, zone=zone) == expected


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("46234.586", "the number under which Excel keeps 31 July 2026"),
        ("46234,586", "the number under which Excel keeps 31 July 2026"),
        ("1785486933.5", "a count of seconds since 1970"),
        ("1785486933000", "a count of milliseconds since 1970"),
        ("9" * 5000, "Set in the mapping how dates are written"),
        ("31/07/2026 2:05 PM IST", "End the `format` with IST"),
        ("2026-07-31 14:05:00 EDT", "End the `format` with EDT"),
    ],
)
def test_what_else_stands_where_a_date_should_is_named(cell: str, said: str) -> None:
    read = DateTimeValue(ZoneInfo("Asia/Kolkata")).read(cell)
    assert isinstance(read, Fault)
    assert said in f"{read.message} {read.remedy}"


def test_the_name_of_a_zone_in_the_format_is_a_word_like_others() -> None:
    assert instant("31/07/2026 2:05 PM IST", "%d/%m/%Y %I:%M %p IST", zone="Asia/Kolkata") == (
        "2026-07-31 08:35:00"
    )


@pytest.mark.parametrize(
    ("cell", "as_day", "as_instant"),
    [
        (DateCell("2026-07-31", dt.date(2026, 7, 31)), "2026-07-31", "2026-07-30 22:00:00"),
        (DateCell("x", dt.datetime(2026, 7, 31, 10, 29, 59, 999_997)), "2026-07-31", "2026-07-31 08:30:00"),  # noqa: DTZ001
        (DateCell("10:30:00", dt.time(10, 30)), "!not-a-date", "!not-a-date"),
        (NumberCell("46234", 46234.0), "!not-a-date", "!not-a-date"),
        (BooleanCell("TRUE"), "!not-a-date", "!not-a-date"),
    ],
)
def test_a_workbooks_dates_need_no_format(cell: str, as_day: str, as_instant: str) -> None:
    assert (day(cell, "%d/%m/%Y"), instant(cell, "%d/%m/%Y")) == (as_day, as_instant)


def test_a_number_cell_is_read_by_a_format_of_digits() -> None:
    assert day(NumberCell("20260731", 20260731.0), "%Y%m%d") == "2026-07-31"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("%d/%M/%Y", "%M stands for minutes"),
        ("%d/%m", "no year"),
        ("%m/%Y", "no day"),
        ("%d/%m/%Y %H:%M %p", "%I and %p together"),
        ("%d/%m/%Y %I:%M", "%I and %p together"),
        ("%d/%m/%Y %M", "no hour"),
        ("%d/%d/%m/%Y", "twice"),
        ("%d/%m/%Y %y", "twice"),
        ("%d/%m/%Y %Q", "%Q, which is not known"),
        ("%d/%m/%Y%", "single %"),
        ("", "no year"),
        ("dd/mm/yyyy", "no year"),
    ],
)
def test_a_format_that_cannot_give_a_date_is_refused(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        DateFormat(text)


def test_a_fault_shows_the_form_that_is_wanted() -> None:
    fault = DateValue(["%d %b %Y"]).read("soon")
    assert isinstance(fault, Fault)
    assert fault.message == '"soon" is not a date of the form %d %b %Y (such as 31 Jul 2026).'


@pytest.mark.parametrize(
    ("cell", "formats", "swappable"),
    [
        ("03/04/2026", ["%d/%m/%Y"], True),
        ("04/04/2026", ["%d/%m/%Y"], False),
        ("13/04/2026", ["%d/%m/%Y"], False),
        ("3 Apr 2026", ["%d %b %Y"], False),
        ("2026-04-03", [], False),
    ],
)
def test_whether_day_and_month_could_be_exchanged(cell: str, formats: list[str], swappable: bool) -> None:
    read = DateValue(formats).parse(cell)
    assert not isinstance(read, Fault)
    assert read.swappable == swappable


_SHAPES = st.sampled_from(["%d/%m/%Y", "%d.%m.%Y", "%Y%m%d", "%d %b %Y", "%A, %d %B %Y", "%j/%Y", "%m-%d-%Y"])


@given(st.dates(), _SHAPES)
def test_what_strftime_writes_is_read_back(date: dt.date, shape: str) -> None:
    written = date.strftime(shape.replace("%Y", f"{date.year:04}"))
    assert day(written, shape) == date.isoformat()


@given(st.datetimes(min_value=dt.datetime(1950, 1, 1), max_value=dt.datetime(2100, 1, 1)))  # noqa: DTZ001
def test_utc_times_survive_the_way_through_a_zone(utc: dt.datetime) -> None:
    """Written on Berlin's clock with its offset, an instant is sent as it was."""
    utc = utc.replace(microsecond=0)
    local = utc.replace(tzinfo=dt.UTC).astimezone(BERLIN)
    assert instant(local.strftime("%d.%m.%Y %H:%M:%S %z"), "%d.%m.%Y %H:%M:%S %z") == utc.isoformat(sep=" ")


@given(st.text(alphabet="0123456789/-: .aprmJulTZ+\u0663\u00b2", max_size=25), st.lists(_SHAPES, max_size=2))
def test_any_text_is_a_date_or_a_fault(text: str, shapes: Iterable[str]) -> None:
    formats = list(shapes)
    for value_type in (DateValue(formats), DateTimeValue(BERLIN, formats)):
        assert isinstance(value_type.read(text), str | Fault)
        assert isinstance(value_type.notice(text), Fault | None)


@given(st.text(alphabet="%dmYyHMSIpbBaAjfzQ/- .(*[9", max_size=15))
def test_any_format_is_taken_or_refused(text: str) -> None:
    try:
        DateFormat(text).parse("31/07/2026")
    except FormatError as error:
        assert "The format" in str(error)  # noqa: PT017 - either way out is right
