"""The mapping as a form: its lines from a mapping's text, and what a filled-in form changes in that text.
Pure.

A line is a column of the sheet, or an extra one for what comes from no single column: a constant, a
template, a column that is used twice. What the form does not show (`strip`, `values_file`, comments, order)
stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from importer.activity import ACCOUNT, EVENT, NOTE
from importer.mapping.model import MODIFIER_TYPES, CompanySpec, EventSpec, FieldSpec, NoteSpec
from importer.mapping.yaml_file import FIELDS, MappingText

PLACES: Final[dict[str, type[BaseModel]]] = {
    ACCOUNT: CompanySpec,
    EVENT: EventSpec,
    NOTE: NoteSpec,
}
FIELD: Final = "field"
SOURCES: Final = ("column", "template", "value")
"""Where a line's content comes from."""

SEND_AS: Final = (
    ("", "Not sent"),
    (ACCOUNT, "Account"),
    (EVENT, "Activity type"),
    (NOTE, "Note"),
    (FIELD, "Field"),
)
TYPES: Final = (
    ("text", "Text"),
    ("integer", "Whole number"),
    ("number", "Number"),
    ("boolean", "Yes or no"),
    ("date", "Date"),
    ("datetime", "Date and time"),
    ("list", "List of choices"),
    ("id", "Id"),
)
USER_ATTRIBUTES: Final = ("EmailAddress", "FullName")
"""What users are looked up by; anything else is an attribute of an account."""

MORE_SETTINGS: Final = {
    "required": "must not be empty",
    "default": "a value for empty cells",
    "one_of": "allowed values",
    "values": "values translated",
    "max_length": "most characters",
    "decimal": "decimal mark",
    "currency": "currency signs",
    "send": "yes and no",
    "separator": "separator",
    "locale": "language of months",
    "company_type": "account type",
}
Block = dict[str, Any]
Filled = Mapping[str, str]
"""What one line of the form holds, by setting; `value_key.0` and `value_sent.0` of its table."""


@dataclass(frozen=True)
class FormLine:
    """One line of the form.

    number: its place in the form, part of the names of its inputs. heading: of its column, None for an extra
    line. key: what it is sent as: "", one of `PLACES`, or a schema name. block: the settings. source:
    `column`, `value` or `template`; text: what stands there. letters, samples: of the column, for a person to
    recognise it; doubts: why it is a guess. used_by: what the column is part of, where a template names it.
    """

    number: int
    heading: str | None
    key: str = ""
    block: Block = field(default_factory=dict)
    source: str = "column"
    text: str = ""
    letters: str = ""
    samples: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()


def lines_of(text: MappingText, header: Sequence[str], known: Mapping[str, FormLine]) -> list[FormLine]:
    """The form's lines: one for each column that a mapping can name, then the extra ones, then an empty one.

    known: the columns' lines as they are guessed, by heading.
    """
    blocks = dict(_blocks(text))
    lines: list[FormLine] = []
    taken: set[str] = set()
    for heading in dict.fromkeys(heading for heading in header if heading):
        guess = known.get(heading) or FormLine(0, heading)
        key = next((key for key, block in blocks.items() if block.get("column") == heading), "")
        taken.add(key)
        block = _settings(blocks[key]) if key else guess.block
        doubts = guess.doubts if (guess.key, guess.block) == (key, block) else ()
        used_by = tuple(
            shown_name(each)
            for each, other in blocks.items()
            if f"{{{heading}}}" in str(other.get("template", ""))
        )
        lines.append(replace(guess, number=len(lines), key=key, block=block, doubts=doubts, used_by=used_by))
    for key, block in blocks.items():
        if key not in taken and not _is_event_code(key, block):
            source = next((name for name in SOURCES if name in block), "value")
            extra = FormLine(len(lines), None, key, _settings(block), source, str(block.get(source, "")))
            lines.append(extra)
    return [*lines, FormLine(len(lines), None, source="value")]


def shown_name(key: str) -> str:
    """What the form calls a place of the mapping; schema names are their own."""
    return next((name for each, name in SEND_AS if each == key), key)


def event_code(text: MappingText) -> str:
    """The activity type's code, "" where a column says it, or nothing does yet."""
    block = dict(_blocks(text)).get(EVENT, {})
    return str(block["value"]) if _is_event_code(EVENT, block) else ""


class FilledIn(NamedTuple):
    """A mapping after a form. keys: what each line is sent as; doubled: lines whose field another line fills,
    with that field. They stay as they were."""

    text: MappingText
    keys: dict[int, str]
    doubled: dict[int, str]


def filled_in(before: str, form: Mapping[str, str]) -> FilledIn:
    """The mapping after the form: only what differs from it is changed.

    A line of the form is known by the key that it had (`old`); what the form did not show stays as it is.
    """
    text = MappingText(before)
    present = dict(_blocks(text))
    lines = _lines_of_form(form)
    shown = {line.get("old", "") for line in lines.values()}
    keys: dict[int, str] = {}
    wanted: dict[str, Block] = {}
    came_from: dict[str, str] = {}
    doubled: dict[int, str] = {}
    for number, line in sorted(lines.items(), key=lambda one: _sent_as(one[1]) != one[1].get("old", "")):
        old = line.get("old", "")
        key, block = _block_of_form(line, present.get(old, {}))
        if key in wanted:  # by the line that had it before, if one had
            doubled[number] = key
            key, block = (old, present[old]) if old in present and old not in wanted else ("", {})
        keys[number] = key
        if key:
            wanted[key], came_from[key] = block, old
    code = form.get("event", "").strip()
    if code and EVENT not in wanted:  # a column that says the type wins
        wanted[EVENT] = {"value": code}
    elif _is_event_code(EVENT, present.get(EVENT, {})):
        shown.add(EVENT)
    _write(text, present, wanted, came_from, shown)
    return FilledIn(text, keys, doubled)


def _write(
    text: MappingText,
    present: dict[str, Block],
    wanted: Mapping[str, Block],
    came_from: Mapping[str, str],
    shown: set[str],
) -> None:
    """Changes what differs. came_from: the key that each line had. shown: keys that the form has."""
    for key, old in came_from.items():
        renamed = old in present and old not in wanted and key not in present
        if renamed and not {old, key} & {*PLACES}:
            text.rename((FIELDS, old), key)
            present[key] = present.pop(old)
    for key in present.keys() & shown - wanted.keys() - {""}:
        text.set(_where(key), None)
    for key, block in wanted.items():
        if present.get(key) != block:
            text.set(_where(key), _written(key, block))


def _lines_of_form(form: Mapping[str, str]) -> dict[int, Filled]:
    """The form's lines by number, in order; its fields are called `setting.number`."""
    lines: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        setting, _, rest = name.partition(".")
        number, dot, place = rest.partition(".")
        if number.isascii() and number.isdigit():
            lines.setdefault(int(number), {})[f"{setting}{dot}{place}"] = value
    return {number: lines[number] for number in sorted(lines) if "send" in lines[number]}


def _sent_as(line: Filled) -> str:
    """What a line says that it is sent as, "" for nothing."""
    if line["send"] == FIELD:
        return line.get("field", "").strip()
    return line["send"] if line["send"] in PLACES else ""


def _block_of_form(line: Filled, before: Block) -> tuple[str, Block]:
    """What a line is sent as, and its whole block."""
    key = _sent_as(line)
    source, text = "column", line.get("heading", "")
    if not text:
        source, text = line.get("source", ""), line.get("text", "")
    if not key or source not in SOURCES or not text.strip():
        return "", {}
    return key, {source: text, **_settings_of_form(line, _settings(before), key, source)}


def _settings_of_form(line: Filled, before: Block, key: str, source: str) -> Block:
    """The block's other keys: those of the form, and those that it does not show (`strip`, `values_file`)."""
    given = defaultdict(str, {name: text.strip() for name, text in line.items()})
    formats, allowed = (_lines_in(given[name]) for name in ("format", "one_of"))
    kind, by = given["type"] or "text", given["by"]
    of_user = by in USER_ATTRIBUTES and key != ACCOUNT
    asked: Block = {name: given[name] for name in ("timezone", "locale", "decimal", "default", "max_length")}
    asked |= {name: line.get(name, "") for name in ("separator", "join")}
    asked |= {
        "lookup": by and ("user" if of_user else "account"),
        "by": by,
        "company_type": "" if of_user or not by else given["company"] or "Account",
        "format": formats[0] if len(formats) == 1 else formats,
        "currency": given["currency"] and "true",
        "send": {"true": given["yes"], "false": given["no"]} if given["yes"] and given["no"] else {},
        "one_of": allowed,
        "values": {
            value: line.get(name.replace("key", "sent"), "")
            for name, value in line.items()
            if name.startswith("value_key.") and value.strip()
        },
    }
    if key not in {ACCOUNT, EVENT}:  # they may only say what is so anyway
        asked |= {"type": "" if by or kind == "text" else kind, "required": given["required"] and "true"}
    changed = {name: value for name, value in asked.items() if not _same(name, before.get(name), value)}
    return {
        name: value
        for name, value in {**before, **changed}.items()
        if value and _fits(name, kind, key, source)
    }


def _lines_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _fits(name: str, kind: str, key: str, source: str) -> bool:
    """Whether a setting means something for a line of that type, at that place, from that source."""
    if name not in PLACES.get(key, FieldSpec).model_fields:
        return False
    if source == "value" and name in {"default", "one_of", "values", "values_file", "required"}:
        return name == "required" and key in {ACCOUNT, EVENT}
    return kind in MODIFIER_TYPES.get(name, (kind,))


def _same(name: str, before: object, after: object) -> bool:
    """Whether two spellings mean the same: one format, or a list of one; a default, or nothing."""
    if not after:
        return (name, before) in (("type", "text"), ("required", "false"), ("currency", "false"))
    return before == after or () != texts_of(before) == texts_of(after)


def _blocks(text: MappingText) -> Iterator[tuple[str, Block]]:
    """Everything that a mapping sends: key and block, in the file's order."""
    for key in PLACES:
        found = text.block((key,))
        if found not in (None, ""):
            yield key, _as_block(key, found)
    for key, found in text.fields().items():
        yield key, _as_block(key, found)


def _as_block(key: str, found: object) -> Block:
    """A plain text stands for a column; for the activity type, digits are the code."""
    if isinstance(found, dict):
        return found
    if found is None or found == "":
        return {}
    text = str(found)
    return {"value": text} if key == EVENT and text.strip().isdigit() else {"column": text}


def _written(key: str, block: Block) -> Block | str:
    """The shortest spelling of a block."""
    if block.keys() == {"column"} and not (key == EVENT and str(block["column"]).strip().isdigit()):
        return str(block["column"])
    if key == EVENT and block.keys() == {"value"} and str(block["value"]).strip().isdigit():
        return str(block["value"])
    return block


def _settings(block: Block) -> Block:
    return {name: value for name, value in block.items() if name not in SOURCES}


def _is_event_code(key: str, block: Block) -> bool:
    return key == EVENT and block.keys() == {"value"}


def _where(key: str) -> tuple[str, ...]:
    return (key,) if key in PLACES else (FIELDS, key)


def texts_of(value: object) -> tuple[str, ...]:
    """A text, or a list of them; of nothing else any."""
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
