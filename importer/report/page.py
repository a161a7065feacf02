"""The report as one HTML file that needs nothing else: no network, no files, no permission to run anything
but its own script.

Whatever a sheet or LeadSquared says reaches the page through the template's escaping, or as JSON in which
`<` is escaped too; the script puts it in as text. The page's own policy (CSP) lets only the styles and the
script with the right hash in, so that even a hole in all that would run nothing and send nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from importer.atomic_file import Placed
from importer.report.charts import OUTCOMES, calls_chart, outcome_class, outcomes_chart
from importer.report.facts import RowsForSearch
from importer.results.beside import write_whole
from importer.text import one_line
from importer.wording import duration, local_time

_FOLDER: Final = Path(__file__).parent
VALUE_MAX: Final = 120
_BATCH: Final = re.compile(r'<meta name="importer-batch" content="([^"]*)">')
_PEEK_CHARACTERS: Final = 4_000
_ESCAPES: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def write_report(path: Path, facts: Mapping[str, Any], rows: RowsForSearch) -> Placed:
    """Writes the page at `path`, or beside it if that is not this batch's. facts: see `gather`. Raises
    FileError."""
    batch = facts["batch"]

    def write(stream: TextIO) -> None:
        stream.writelines(_template().generate(**_context(facts, rows)))

    return write_whole(path, write, batch=batch.id, batch_in=batch_in, source=Path(batch.source))


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


def _context(facts: Mapping[str, Any], rows: RowsForSearch) -> Mapping[str, Any]:
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    script = (_FOLDER / "search.js").read_text(encoding="utf-8")
    return {
        "facts": facts,
        "name": facts["batch"].source_name,
        "style": Markup(style),  # noqa: S704 - our own file
        "style_hash": _hash(style),
        "script": Markup(script),  # noqa: S704 - our own file
        "script_hash": _hash(script),
        "data": _json(rows.data),
        "search_note": rows.note,
        "calls_chart": calls_chart(facts["traffic"], facts["rate"].calls),
        "outcomes_chart": outcomes_chart(facts["traffic"]),
        "outcomes": OUTCOMES,
    }


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _json(data: Mapping[str, Any]) -> Markup:
    """JSON that no element can be closed from."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)
    return Markup(text)  # noqa: S704 - escaped one line above
