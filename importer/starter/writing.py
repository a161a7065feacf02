"""A proposed mapping as text: one entry for each column, with comments, and the line of each entry.

Written line by line rather than by a YAML library, since commented-out entries have to be between the
others, ready to be used once the `#` is gone. Each text goes through `scalar`, and the whole is parsed again
by the mapping's own reader before anybody gets it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from importer.mapping.round_trip import LINE_LENGTH, scalar
from importer.mapping.yaml_file import SIZE_MAX_BYTES, read_document
from importer.starter.columns import Setting


@dataclass(frozen=True, slots=True)
class Entry:
    """A line or block of the mapping.

    key: `RelatedCompanyId`, a schema name, …; "" for a comment alone. column: the heading it takes, None for
    none. value: what is there instead of a column. settings: further keys of the block. active: False
    writes it as a comment. comments: sentences above it; doubts: the same, for a person to look at.
    fill_in: what is missing there; the value then stays empty, and `check` refuses the mapping.
    """

    key: str
    column: str | None = None
    value: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    active: bool = True
    comments: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    fill_in: str = ""
    in_fields: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to fill in or to look at. line: in the written file. key: of the entry. column: or None."""

    line: int
    key: str
    column: str | None
    message: str

    def as_json(self) -> dict[str, str | int | None]:
        return {"line": self.line, "key": self.key, "column": self.column, "message": self.message}


@dataclass(frozen=True, slots=True)
class Proposal:
    """text: the mapping. fill_in: without these it cannot be used. look_at: guesses to be
    reviewed."""

    text: str
    fill_in: tuple[Remark, ...]
    look_at: tuple[Remark, ...]


def rendered(head: Sequence[str], entries: Sequence[Entry], name: str) -> Proposal:
    """The mapping. head: lines before the first entry, as they are. name: the file's, for `read_document`."""
    lines = list(head)
    fill_in: list[Remark] = []
    look_at: list[Remark] = []
    # A block without entries is none: then its key is a comment as well.
    fields_open = any(entry.in_fields and entry.active and entry.key for entry in entries)
    in_fields = False
    for entry in entries:
        if entry.in_fields and not in_fields:
            lines += ["", "Fields:" if fields_open else "# Fields:"]
            in_fields = True
        indent = "  " if entry.in_fields else ""
        if (entry.comments or entry.doubts or entry.fill_in) and not lines[-1].endswith("Fields:"):
            lines.append("")
        for comment in entry.comments:
            lines += commented(comment, indent)
        for doubt in entry.doubts:
            lines += commented(f"CHECK: {doubt}", indent)
        if entry.fill_in:
            lines += commented(f"FILL IN: {entry.fill_in}", indent)
        line = len(lines) + 1
        if entry.key:
            lines += _written(entry, indent)
        if entry.fill_in:
            fill_in.append(Remark(line, entry.key, entry.column, entry.fill_in))
        look_at += [Remark(line, entry.key, entry.column, doubt) for doubt in entry.doubts]
    text = "\n".join(lines) + "\n"
    _demand_readable(text, name)
    return Proposal(text, tuple(fill_in), tuple(look_at))


def commented(sentence: str, indent: str = "") -> list[str]:
    """A sentence as comment lines."""
    return textwrap.wrap(
        sentence,
        width=LINE_LENGTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _written(entry: Entry, indent: str) -> list[str]:
    mark = "" if entry.active else "# "
    return [f"{indent}{mark}{line}" for line in _block(entry)]


def _block(entry: Entry) -> list[str]:
    """The entry on one line if it fits, else as a block."""
    if entry.column is None and not entry.settings:
        return [f"{entry.key}: {entry.value}".rstrip()]
    # For an activity type a plain number would be the code itself, not a column of that name.
    if entry.column is not None and not entry.settings and entry.key != "ActivityEvent":
        return [f"{entry.key}: {scalar(entry.column)}"]
    templated = entry.column is None or "template" in entry.settings
    pairs = [] if templated else [f"column: {scalar(entry.column or '')}"]
    pairs += [f"{key}: {_setting(value)}" for key, value in entry.settings.items()]
    line = f"{entry.key}: {{{', '.join(pairs)}}}"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"{entry.key}:", *(f"  {pair}" for pair in pairs)]


def _setting(value: Setting) -> str:
    return scalar(value) if isinstance(value, str) else flow_list(value)


def flow_list(texts: Iterable[str]) -> str:
    """`[first, second]`."""
    return f"[{', '.join(map(scalar, texts))}]"


def _demand_readable(text: str, name: str) -> None:
    """What nobody could read must not be written: a defect here, not a mistake of the sheet's."""
    document = read_document(text, name)
    if document.mistakes or len(text.encode()) > SIZE_MAX_BYTES:
        raise AssertionError(f"the proposed mapping cannot be read: {document.mistakes[:3]}")
