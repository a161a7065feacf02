"""The report as one HTML file that needs nothing else: no network, no files, no permission to run anything
but its own script. What it says of a batch is gathered from the store in a few passes, whatever its size; the
rows that its search box knows are bounded, since a page has to open in a browser.

Whatever a sheet or LeadSquared says reaches the page through the template's escaping, or as JSON in which
`<` is escaped too; the script puts it in as text. The page's own policy (CSP) lets only the styles and the
script with the right hash in, so that even a hole in all that would run nothing and send nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from importer.atomic_file import Placed
from importer.leadsquared.outcomes import OutcomeKind
from importer.pacing.pacing import Rate
from importer.remedies import remedy_for
from importer.report.charts import OUTCOMES, calls_chart, outcome_class, outcomes_chart, traffic
from importer.results.results_writer import write_whole
from importer.settings import DEFAULT_RATE
from importer.sheets.rows import decode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import BatchSummary, CorrectionStatus, RowStatus, Shown, StoredCorrection
from importer.text import duration, local_time, one_line
from importer.verification import readings

MESSAGES_MAX: Final = 5
MESSAGES_COUNTED_MAX: Final = 200
MESSAGE_MAX: Final = 400
EVENTS_MAX: Final = 20
CORRECTIONS_MAX: Final = 200
ROWS_NAMED_MAX: Final = 24
SEARCHED_MAX: Final = 20_000
RANGES_MAX: Final = 50_000
CELLS_MAX: Final = 12
CELL_MAX: Final = 80
CELLS_BYTES_MAX: Final = 4_000_000
VALUE_MAX: Final = 120
_FOLDER: Final = Path(__file__).parent
_BATCH: Final = re.compile(r'<meta name="importer-batch" content="([^"]*)">')
_PEEK_CHARACTERS: Final = 4_000
_ESCAPES: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}
_WORDS: Final[dict[str, str]] = {
    OutcomeKind.CREATED: "created",
    OutcomeKind.THROTTLED: "throttled",
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.UNAUTHORISED: "refused",
    OutcomeKind.WRONG_ADDRESS: "not sent",
    OutcomeKind.NOT_SENT: "not sent",
}
"""Of every other call, one that was interrupted among them, it is not known: `in doubt`."""
_NEEDS_A_PERSON: Final = (
    Shown.UNCERTAIN, Shown.FAILED, Shown.INVALID, Shown.PENDING, Shown.CREATED, Shown.SKIPPED,
)  # fmt: skip
"""The order of the page."""


def write_report(path: Path, rows: BatchRows, summary: BatchSummary) -> tuple[Placed, str]:
    """Writes the page at `path`, or beside it if that is not this batch's; and what its search lacks, a
    sentence. Raises FileError, StoreError."""
    facts, (data, note) = gather(rows, summary), rows_for_search(rows, summary.counts["rows"])
    style, script = (_FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "search.js"))
    context = {
        "facts": facts,
        "name": summary.batch.source_name,
        "style": Markup(style),  # noqa: S704 - our own file
        "style_hash": _hash(style),
        "script": Markup(script),  # noqa: S704 - our own file
        "script_hash": _hash(script),
        "data": _json(data),
        "search_note": note,
        "calls_chart": calls_chart(facts["traffic"], facts["rate"].calls),
        "outcomes_chart": outcomes_chart(facts["traffic"]),
        "outcomes": OUTCOMES,
    }

    def write(stream: TextIO) -> None:
        stream.writelines(_template().generate(**context))

    batch = summary.batch
    return write_whole(path, write, batch=batch.id, batch_in=batch_in, source=Path(batch.source)), note


def batch_in(path: Path) -> str | None:
    """The batch of a report that was written here; None for any other."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            found = _BATCH.search(stream.read(_PEEK_CHARACTERS))
    except OSError:
        return None
    return found[1] if found else None


def _template() -> Any:  # noqa: ANN401 - jinja2's Template
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        value=lambda text: one_line(str(text), VALUE_MAX),
        moment=local_time,
        number="{:,}".format,
        duration=duration,
    )
    environment.globals["outcome_class"] = outcome_class
    return environment.get_template("page.html")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _json(data: dict[str, Any]) -> Markup:
    """JSON that no element can be closed from."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)
    return Markup(text)  # noqa: S704 - escaped one line above


# ---- what the page says ---------------------------------------------------------------------------------


@dataclass(slots=True)
class RowRanges:
    """Ascending row numbers as [first, last, label] of neighbours with one label; at most `most` of them, and
    how many rows are beyond, from which one on."""

    most: int = ROWS_NAMED_MAX
    count: int = 0
    ranges: list[list[Any]] = field(default_factory=list)
    beyond: int = 0
    cut: int = 0

    def add(self, number: int, label: str = "") -> None:
        self.count += 1
        last = self.ranges[-1] if self.ranges else [0, -1, ""]
        if not self.beyond and last[1:] == [number - 1, label]:
            last[1] = number
        elif len(self.ranges) < self.most:
            self.ranges.append([number, number, label])
        else:
            self.beyond += 1
            self.cut = self.cut or number

    def __str__(self) -> str:
        """As people write them: `5, 9–12 and 340 more`."""
        named = ", ".join(
            f"{first}" if first == last else f"{first}–{last}" for first, last, _ in self.ranges
        )
        return f"{named} and {self.beyond:,} more" if self.beyond else named


@dataclass(slots=True)
class ErrorGroup:
    """Rows of one status and code. messages: the most frequent ones, each with its rows; others: how many
    rows have another."""

    status: Shown
    code: str
    rows: RowRanges = field(default_factory=RowRanges)
    by_text: dict[str, RowRanges] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        return remedy_for(self.code).meaning

    @property
    def action(self) -> str:
        """Of rows in doubt, whatever brought them there, a person has to decide."""
        return remedy_for("uncertain" if self.status == Shown.UNCERTAIN else self.code).action

    @property
    def messages(self) -> list[tuple[str, RowRanges]]:
        return sorted(self.by_text.items(), key=lambda each: -each[1].count)[:MESSAGES_MAX]

    @property
    def others(self) -> int:
        return self.rows.count - sum(rows.count for _, rows in self.messages)

    def add(self, number: int, error: str) -> None:
        self.rows.add(number)
        text = one_line(error, MESSAGE_MAX)
        if text in self.by_text or len(self.by_text) < MESSAGES_COUNTED_MAX:
            self.by_text.setdefault(text, RowRanges()).add(number)


def gather(rows: BatchRows, summary: BatchSummary) -> dict[str, Any]:
    """What the template (`page.html`) says of a batch, but for the rows of its search box. Times are UTC, ISO
    8601. Raises StoreError."""
    known = summary.facts.get("rate")
    rate = DEFAULT_RATE if known is None else Rate.parse(known)
    read = rows.readings_count() > 0

    def calls() -> Iterator[tuple[float, str]]:
        return ((at, _WORDS.get(outcome, "in doubt")) for at, outcome in rows.calls())

    return {
        "batch": summary.batch,
        "counts": summary.counts,
        "running": summary.running,
        "seconds": summary.facts.get("seconds", 0.0),
        "throttled": summary.facts.get("throttled", 0),
        "events": dict(list(rows.event_counts().items())[:EVENTS_MAX]),
        "last_change": rows.last_change() or summary.batch.created_at,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "groups": _groups(rows),
        "traffic": traffic(calls, rate.period_s),
        "rate": rate,
        "rate_known": known is not None,
        "read_back": readings.summarise(readings.read_rows(rows)) if read else None,
        "read_back_at": readings.ended_at(rows) if read else None,
        "corrections": _corrections(rows),
    }


def _groups(rows: BatchRows) -> list[ErrorGroup]:
    """Rows with something to say, those that need a person first."""
    groups: dict[tuple[RowStatus, str], ErrorGroup] = {}
    for row in rows.problems():
        group = ErrorGroup(row.status.shown, row.error_code)
        groups.setdefault((row.status, row.error_code), group).add(row.number, row.error)
    return sorted(groups.values(), key=lambda each: (_NEEDS_A_PERSON.index(each.status), -each.rows.count))


def _corrections(rows: BatchRows) -> dict[str, Any]:
    """Changes of single fields of created rows: how many, by outcome; the latest ones."""
    counts: Counter[str] = Counter()
    latest: deque[StoredCorrection] = deque(maxlen=CORRECTIONS_MAX)
    for one in rows.corrections():
        if one.status is not CorrectionStatus.WITHDRAWN:
            counts[one.status.name.lower()] += 1
            latest.append(one)
    return {"counts": counts, "total": counts.total(), "shown": list(latest)}


def rows_for_search(stored: BatchRows, rows: int) -> tuple[dict[str, Any], str]:
    """For the page's script (see `search.js`): every row of a batch of at most SEARCHED_MAX rows; of a larger
    one the rows that need attention, and which status the others have, without their Ids. Then what it
    lacks, a sentence; "" if nothing."""
    every = rows <= SEARCHED_MAX
    differing = {
        position: [
            [one_line(name, CELL_MAX), verdict, one_line(sent, CELL_MAX), one_line(held, CELL_MAX)]
            for name, verdict, sent, held, *_ in differences
        ]
        for position, differences in stored.differing(SEARCHED_MAX).items()
    }
    known: list[list[Any]] = []
    others = RowRanges(RANGES_MAX)
    texts: dict[str, int] = {}
    room = CELLS_BYTES_MAX
    for row in stored.rows():
        status, different = row.status.shown, differing.get(row.position, [])
        if not every:
            others.add(row.number, status)
        plain = row.status is RowStatus.CREATED and not row.error_code and not different
        if (plain and not every) or len(known) >= SEARCHED_MAX:
            continue
        cells = [one_line(cell, CELL_MAX) for cell in decode_cells(row.cells)[:CELLS_MAX]] if room > 0 else []
        room -= sum(map(len, cells)) + 3 * len(cells)
        error = texts.setdefault(one_line(row.error, MESSAGE_MAX), len(texts)) if row.error else -1
        known.append(
            [
                row.number, status, row.activity_id or "", row.error_code, error, row.attempts,
                row.changed_at, cells, different,
            ]
        )  # fmt: skip
    header = [one_line(heading, CELL_MAX) for heading in stored.batch().header[:CELLS_MAX]]
    data = {
        "header": header, "texts": list(texts), "rows": known, "ranges": others.ranges, "every": every,
        "cut": others.cut,
    }  # fmt: skip
    if every:
        return data, ""
    lacks = (
        f"This batch has more than {SEARCHED_MAX:,} rows, so the search knows only those that need attention"
        " in detail; of the others it knows the status. The results file has every row and Id."
    )
    if len(known) >= SEARCHED_MAX:
        lacks += f" Of the former it has the first {SEARCHED_MAX:,}."
    if others.cut:
        lacks += f" From row {others.cut:,} on it knows only the former."
    return data, lacks
