"""`importer report`: what the page says, without a browser. In a browser: `test_report_in_a_browser.py`."""

from __future__ import annotations

import html
import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant
from hypothesis import given
from hypothesis import strategies as st
from stores import AT, activity, batch, batch_id, changed, guid, published, staged

from importer.report import page as report_page
from importer.report.charts import OUTCOMES, calls_chart, outcomes_chart, traffic
from importer.report.page import RowRanges, gather, rows_for_search, write_report
from importer.sheets.rows import encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import PlannedCorrection, RowStatus
from importer.store.store import Store, open_store
from importer.text import one_line

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
MAPPING = """\
# visits of the field team
RelatedCompanyId: Account
ActivityEvent: 10001
Fields:
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost]}
  mx_Custom_9: Remarks
"""


def text_of(page: str) -> str:
    """What a person reads of a page, spaces made one."""
    body = re.sub(r"<(script|style|title)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


class Imported:
    """A sheet with one invalid row (5) and, of the others, one that is refused (3)."""

    def __init__(self, importer: Importer, folder: Path, *options: str) -> None:
        self.sheet = folder / "visits.csv"
        lines = [f"{ACCOUNT},{'Wno' if row == 5 else 'Won'},<b>remark {row}</b>" for row in range(2, 8)]
        self.sheet.write_text("\n".join(["Account,Outcome,Remarks", *lines]) + "\n", encoding="utf-8")
        self.mapping = folder / "visits.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")
        self.results = folder / "visits.results.csv"
        self.report = folder / "visits.report.html"
        run = ("run", self.sheet, "-m", self.mapping, "--yes", "--settle", "0", "--skip-invalid", "--json")
        result = importer(*run, "--workers", "1", *options)
        self.outcome = result.json

    @property
    def page(self) -> str:
        """The page's source."""
        return self.report.read_text(encoding="utf-8")

    @property
    def text(self) -> str:
        """What a person reads of it, spaces made one."""
        return text_of(self.page)


@pytest.fixture
def imported(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Imported:
    """Sent to `tenant`, which refuses the second call."""
    tenant.set_faults({"faults": [{"do": "refuse", "message": "Value 'Won' is not allowed.", "nth": [2]}]})
    return Imported(importer, tmp_path)


def test_the_json_has_the_counts_and_the_place(importer: Importer, imported: Imported) -> None:
    """And nothing else stands on stdout."""
    result = importer("report", imported.results, "--json")

    assert (result.exit, result.json) == (
        0,
        {
            "batch": imported.outcome["batch"], "rows": 6, "created": 4, "failed": 1, "invalid": 1,
            "uncertain": 0, "pending": 0, "skipped": 0, "report": str(imported.report), "exit": 0,
        },
    )  # fmt: skip


def test_the_page_tells_who_what_when_and_how(importer: Importer, imported: Imported) -> None:
    """Organisation, user, host, sheet, mapping with its text, activity type, counts."""
    importer("report", imported.results)
    text = imported.text

    for word in (
        imported.outcome["batch"], "Asha Rao", "http://127.0.0.1", str(imported.sheet), "visits.yaml",
        "# visits of the field team", "10001", "4 of 6 rows are created; 2 rows need your attention.",
    ):  # fmt: skip
        assert word in text


def test_errors_are_grouped_with_remedy_and_rows(importer: Importer, imported: Imported) -> None:
    """The catalogue's words, LeadSquared's own message, and which rows."""
    importer("report", imported.results)
    text = imported.text

    assert "MXInvalidInputException 1 row" in text
    assert "Value 'Won' is not allowed." in text
    assert "What to do: Correct the value that the message names in the results file, then resume." in text
    assert "invalid 1 row A cell does not fit the mapping, so this row was not sent." in text


def test_the_read_back_is_on_the_page_once_it_was_done(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """Before: how to do it. After: field by field."""
    importer("report", imported.results)
    before = imported.text
    tenant.set_faults({"tenant": {"read_back": [{"field": "mx_Custom_9", "change": "drop"}]}})
    importer("verify", imported.results, "--settle", "0")
    importer("report", imported.results)

    assert f"This batch was not read back yet. importer verify {imported.outcome['batch']}" in before
    assert "0 of 4 created rows are equal to what was sent; 4 differ." in imported.text
    assert "mx_Custom_9 was returned empty in 4 of 4 rows: is the schema name right?" in imported.text


def test_the_limit_is_the_one_that_the_run_kept(importer: Importer, imported: Imported) -> None:
    """`LEADSQUARED_RATE` of the test's tenant, not a default."""
    importer("report", imported.results)

    assert "limit 1,000" in imported.page
    assert "Most Create calls in any window of 1 second" in imported.text


def test_nothing_is_fetched_and_nothing_else_may_run(importer: Importer, imported: Imported) -> None:
    """No address to load from, no handler, no style attribute; a policy that forbids the rest."""
    importer("report", imported.results)
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", imported.page, flags=re.DOTALL)

    assert not re.search(r"\s(src|srcset|action|on\w+|style)=", markup)
    assert re.findall(r'href="([^#][^"]*)"', markup) == []
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', imported.page)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_markup_in_a_cell_stays_text(importer: Importer, imported: Imported) -> None:
    """In the table of messages as in the data of the search box."""
    importer("report", imported.results)

    assert "<b>remark" not in imported.page
    assert "\\u003cb\\u003eremark 3\\u003c/b\\u003e" in imported.page


def test_a_rehearsal_says_so(importer: Importer, tmp_path: Path) -> None:
    """In its name and on the page, with --sandbox in what to do next."""
    Imported(importer, tmp_path, "--sandbox")
    result = importer("report", tmp_path / "visits.csv", "--sandbox", "--json")
    page = Path(result.json["report"]).read_text(encoding="utf-8")

    assert result.json["report"] == str(tmp_path / "visits.sandbox.report.html")
    assert "Rehearsal on the sandbox: nothing of it is in LeadSquared" in page


def test_somebody_elses_page_is_not_overwritten(importer: Importer, imported: Imported) -> None:
    """The next free name; our own page is replaced, and nothing temporary is left."""
    imported.report.write_text("<p>mine</p>", encoding="utf-8")
    first = importer("report", imported.results, "--json")
    second = importer("report", imported.results, "--json")

    assert (
        first.json["report"]
        == second.json["report"]
        == str(imported.report.with_name("visits.report (2).html"))
    )
    assert imported.page == "<p>mine</p>"
    assert not list(imported.report.parent.glob(".importer*"))


def test_a_batch_that_runs_elsewhere_can_be_reported(
    importer: Importer, imported: Imported, home: Path
) -> None:
    """It is only read; the page says that it is a moment's picture."""
    with open_store(home, None).own(imported.outcome["batch"]):
        result = importer("report", imported.results)

    assert (result.exit, "is running in another window" in imported.text) == (0, True)


def test_no_such_batch_ends_with_2(importer: Importer) -> None:
    """And what to name instead."""
    result = importer("report", "nothing.results.csv", "--json")

    assert (result.exit, "importer status" in result.json["error"]) == (2, True)


# ---- from the store -----------------------------------------------------------------------------------


MAPPED = {"name": "Site visit", "path": "visits.yaml", "text": "Fields: {}"}


def seven(store: Store) -> BatchRows:
    """Rows 2 to 7 of a sheet: row 3 failed, row 5 is invalid, the others are created."""
    with published(store, rows=6, mapping=MAPPED) as owned, owned.change() as change:
        for position in range(1, 7):
            row = changed(change, position, status=RowStatus.CREATED, activity_id=guid(position))
            if position == 2:
                row = changed(
                    change,
                    position,
                    status=RowStatus.FAILED,
                    error_code="MXInvalidInputException",
                    error="No",
                )
            if position == 4:
                row = changed(
                    change,
                    position,
                    status=RowStatus.INVALID,
                    activity=None,
                    error_code="invalid",
                    error="Wno",
                )
            change.change_rows([row])
    return store.open(batch_id(1))


def page_of(store: Store, folder: Path) -> str:
    """What a person reads of the page."""
    rows, summary = store.open(batch_id(1)), store.summary(batch_id(1))
    assert summary is not None
    placed, _ = write_report(folder / "r.html", rows, summary)
    return text_of(placed.path.read_text(encoding="utf-8"))


def test_a_large_batch_keeps_the_page_small(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound only rows that need a second look are there in detail, the others by their status."""
    monkeypatch.setattr(report_page, "SEARCHED_MAX", 3)
    data, note = rows_for_search(seven(store), 6)

    assert [row[0] for row in data["rows"]] == [3, 5]
    assert data["ranges"] == [
        [2, 2, "created"], [3, 3, "failed"], [4, 4, "created"], [5, 5, "invalid"], [6, 7, "created"],
    ]  # fmt: skip
    assert "more than 3 rows" in note


def test_ranges_are_bounded_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where on the status is not known is said."""
    monkeypatch.setattr(report_page, "SEARCHED_MAX", 3)
    monkeypatch.setattr(report_page, "RANGES_MAX", 2)
    data, note = rows_for_search(seven(store), 6)

    assert (data["ranges"], data["cut"]) == ([[2, 2, "created"], [3, 3, "failed"]], 4)
    assert "From row 4 on" in note


def test_cells_are_bounded_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows beyond the room for cells are there without them."""
    monkeypatch.setattr(report_page, "CELLS_BYTES_MAX", 10)
    data, _ = rows_for_search(seven(store), 6)

    assert [len(row[7]) for row in data["rows"]] == [2, 0, 0, 0, 0, 0]


def test_what_needs_a_person_comes_first(store: Store, tmp_path: Path) -> None:
    """In plain words: how many rows need attention, and what to do."""
    seven(store)
    text = page_of(store, tmp_path)

    assert "4 of 6 rows are created; 2 rows need your attention." in text
    assert text.index("MXInvalidInputException 1 row") < text.index("invalid 1 row")


def test_a_rebuilt_batch_names_its_sheet_and_counts_no_calls(store: Store, tmp_path: Path) -> None:
    """Its rows in doubt are looked up before anything is sent: they are no calls of ours."""
    since = 1_800_000_000.0
    one = batch(rows=6, source="/sheets/visits.results.csv", rebuilt=since, mapping=MAPPED)
    staging = store.stage(one.id)
    staging.add((staged(each) for each in range(1, 7)), AT)
    with staging.change() as change:
        bodies = {position: activity(position).encoded() for position in range(1, 7)}
        change.assume_sent(bodies, since, detail="rebuilt", code="rebuilt", error="May have been created.")
    store.publish(staging, one).close()
    summary = store.summary(one.id)
    assert summary is not None
    facts = gather(store.open(one.id), summary)
    text = page_of(store, tmp_path)

    assert (facts["traffic"].calls, facts["counts"]["uncertain"]) == (0, 6)
    assert text.startswith("Skip to the report Import to LeadSquared visits.csv ")
    assert ("Rebuilt from /sheets/visits.results.csv" in text, "Busiest" in text) == (True, False)


def test_corrections_are_shown_with_what_they_replaced(store: Store, tmp_path: Path) -> None:
    """Row, field, before and after, outcome."""
    seven(store)
    with store.own(batch_id(1)) as owned, owned.change() as change:
        fields = {"mx_Custom_1": ("<b>Wno</b>", "Won")}
        plan = PlannedCorrection(1, fields, encode_cells(["a", "b"]))
        change.plan_corrections([plan], at=AT)
    text = page_of(store, tmp_path)

    assert "1 field planned." in text
    assert "2 mx_Custom_1 <b>Wno</b> Won planned" in text


def test_times_are_those_of_this_computer_with_their_zone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON and results file stay UTC; a person reads a clock."""
    if not hasattr(time, "tzset"):
        pytest.skip("Windows takes its zone from the system")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    seven(store)
    try:
        assert "Started 2026-11-28 09:30 IST" in page_of(store, tmp_path)
    finally:
        monkeypatch.undo()
        time.tzset()


# ---- leaves -------------------------------------------------------------------------------------------


def test_row_numbers_read_as_people_write_them() -> None:
    """Neighbours become a range, what is beyond the bound a count."""
    numbers = RowRanges(most=3)
    for number in (2, 3, 4, 7, 9, 10, 12, 13):
        numbers.add(number)

    assert (str(numbers), numbers.count) == ("2–4, 7, 9–10 and 2 more", 8)


def test_the_busiest_window_slides() -> None:
    """Four calls across the edge of two windows of a second are four in one window."""
    times = [0.0, 0.8, 0.9, 1.1, 1.2, 5.0]
    found = traffic(lambda: [(at, "created") for at in times], 1.0)

    assert (found.busiest, found.calls) == (4, 6)


def test_sessions_stand_side_by_side() -> None:
    """A resume on the next day leaves no empty day in the chart."""
    times = [0.0, 1.0, 86_400.0, 86_401.0]
    found = traffic(lambda: [(at, "created") for at in times], 5.0)

    assert [(bin_.start, bin_.session) for bin_ in found.bins] == [(0.0, 0), (86_400.0, 1)]


@given(
    st.lists(st.tuples(st.floats(0, 3e6), st.sampled_from(OUTCOMES)), max_size=60),
    st.sampled_from([1.0, 5.0, 60.0]),
    st.integers(1, 1000),
)
def test_every_call_is_drawn_and_charts_stay_bounded(
    calls: list[tuple[float, str]], window_s: float, limit: int
) -> None:
    """Totals agree with the bins, and an hour or a month of calls fits the same picture."""
    calls = sorted(calls)
    found = traffic(lambda: calls, window_s)
    drawn = sum((bin_.outcomes for bin_ in found.bins), Counter())
    charts = calls_chart(found, limit) + outcomes_chart(found)

    assert found.totals == Counter(outcome for _, outcome in calls)
    assert found.left_out or drawn == found.totals
    assert len(found.bins) <= 200
    assert len(charts) < 200_000


@given(st.text(max_size=300))
def test_shown_text_is_one_line_without_unseen_characters(text: str) -> None:
    """Whatever a cell holds; it is also fit for JSON and UTF-8."""
    line = one_line(text, 40)
    json.dumps(line).encode("utf-8")

    assert len(line) <= 40
    assert line == "" or line.isprintable()
