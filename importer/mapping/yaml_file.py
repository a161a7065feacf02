"""A mapping file's text → plain values that know their line; its faults, each with file, line and path; and
the text with single entries changed.

Every scalar is the text as it is in the file: `007`, `1.10`, `no` and `null` stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from importer.errors import MappingError
from importer.mapping.choices import did_you_mean
from importer.mapping.model import BLOCKS, OWN, MappingSpec, keys_of
from importer.text import quoted

SIZE_MAX_BYTES: Final = 512 * 1024
VALUES_MAX: Final = 50_000
"""Values in a file after its aliases are written out: an alias bomb has billions."""
NESTING_MAX: Final = 12
MISTAKES_SHOWN_MAX: Final = 40
FILE: Final = "mapping.yaml"
BOM: Final = "\ufeff"
FIELDS: Final = "Fields"
TOP_ORDER: Final = (
    "name", "sheet", "encoding", "delimiter", "header_row", "accept", "locale", "RelatedCompanyId",
    "ActivityEvent", "ActivityNote", "marker", FIELDS,
)  # fmt: skip
LINE_LENGTH: Final = 100
_PLAIN: Final = re.compile(r"[^\W_][\w.()/+-]*(?: +[\w.()/+-]+)*")
_SHORT_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

Keys = tuple[str, ...]
Value = str | list[str] | dict[str, Any]

Where = tuple[str | int, ...]

_BLOCK_WANTED: Final = "A block of key: value lines is wanted here."
_OWN_WORDING: Final = frozenset({"text", "flag", "whole"})
_SHAPE_WORDING: Final = {
    "missing": "{key} is missing. Add it.",
    "string_too_short": "There is nothing here. Write a value, or leave the line out.",
    "too_short": "There is nothing here. Write a value, or leave the line out.",
    "list_type": "A list is wanted here: [first, second].",
    "model_type": _BLOCK_WANTED,
    "model_attributes_type": _BLOCK_WANTED,
    "dict_type": _BLOCK_WANTED,
}

_ALWAYS_NEEDED: Final = {
    (name, "column") for name, field in MappingSpec.model_fields.items() if field.is_required()
}
"""Where an empty text is no entry that can be left out."""

_YAML_WORDING: Final = (
    (r"character '\\t'", "There is a tab where blanks should be.", "Indent with spaces."),
    (
        r"character '[%@`]'",
        "A value must not begin with %, @ or ` unquoted.",
        'Put quotes around it: "%d/%m/%Y".',
    ),
    (
        r"mapping values are not allowed",
        "There is a colon too many, or the indentation is wrong.",
        'Put quotes around texts with ": " in them, and indent keys of one block alike.',
    ),
    (r"while scanning a quoted scalar", "A quoted text does not end.", "Add the missing quote."),
    (r"unknown escape character", 'A backslash between " marks is not understood.', "Use ' marks."),
    (r"flow (mapping|sequence)", "A { or [ is not closed, or a comma is missing.", "Close it with } or ]."),
    (r"undefined alias", "A * refers to nothing.", "Put quotes around texts that begin with *."),
    (r"single document", "A line --- begins a second document.", "Keep one mapping in a file."),
    (r"could not find expected ':'", "A key has no colon behind it.", "Write it as key: value."),
    (r"expected <block end>", "The indentation is wrong here.", "Indent keys of one block alike."),
)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong with a mapping. line: from 1, 0 if there is none. path: `Fields → …`."""

    line: int
    path: str
    text: str

    def sentence(self, file: str) -> str:
        place = [file, *([f"line {self.line}"] if self.line else []), *([self.path] if self.path else [])]
        return f"{', '.join(place)}: {self.text}"


class MistakesError(MappingError):
    """Everything that is wrong with a mapping."""

    def __init__(self, what: str, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__(what)
        self.mistakes = mistakes


def mapping_error(file: str, mistakes: Iterable[Mistake]) -> MistakesError:
    """All mistakes in one error, in the file's order, each on a line with file, line and path."""
    found = sorted(set(mistakes))
    lines = [mistake.sentence(file) for mistake in found[:MISTAKES_SHOWN_MAX]]
    if len(found) > MISTAKES_SHOWN_MAX:
        lines.append(f"… and {len(found) - MISTAKES_SHOWN_MAX} more.")
    return MistakesError("\n".join(lines), tuple(found))


def path_text(where: Where) -> str:
    """`Fields → mx_Custom_1 → one_of → 2`: list entries are counted from 1."""
    return " → ".join(str(part + 1) if isinstance(part, int) else part for part in where)


def mistake_at(lines: dict[Where, int], where: Where, text: str, *, missing: bool = False) -> Mistake:
    """A mistake at `where`, in its line or that of the nearest thing around it that the file holds. Its path
    ends with what the file holds, unless that is what is missing."""
    there = where
    while there and there not in lines:
        there = there[:-1]
    return Mistake(lines.get(there, 0), path_text(where if missing else there or where[:1]), text)


class Document:
    """A mapping file's content. data: dicts, lists and texts. lines: the line of each part. root: YAML's
    own view of it, with the places in the text."""

    def __init__(self, text: str, file: str) -> None:
        """Raises MappingError if it is no YAML or no mapping of keys; `mistakes` holds the others."""
        self._file = file
        self.mistakes: list[Mistake] = []
        self.lines: dict[Where, int] = {}
        self._count = 0
        node = _composed(text, file)
        if node is None:
            raise _unreadable(file, 0, "The mapping is empty. Start from `importer init`, or a sample.")
        if not isinstance(node, MappingNode):
            raise _unreadable(file, 1, "The mapping must consist of lines like `key: value`.")
        self.root: MappingNode = node
        self.data: dict[str, Any] = self._mapping(node, ())

    def _plain(self, node: Node, where: Where) -> Any:  # noqa: ANN401 - whatever the file holds
        self._count += 1
        if self._count > VALUES_MAX or len(where) > NESTING_MAX:
            raise _unreadable(self._file, _line(node), "The mapping is nested too deep, or is too large.")
        if isinstance(node, MappingNode):
            return self._mapping(node, where)
        if isinstance(node, SequenceNode):
            for index, entry in enumerate(node.value):
                self.lines[*where, index] = _line(entry)
            return [self._plain(entry, (*where, index)) for index, entry in enumerate(node.value)]
        return str(node.value)

    def _mapping(self, node: MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                text = "A key must be a single text. Put quotes around texts with { or [ in them."
                self.mistakes.append(Mistake(_line(key_node), path_text(where), text))
                continue
            key = str(key_node.value)
            here = (*where, key)
            if key in found:
                first = self.lines[here]
                text = f"{quoted(key)} is here a second time (first in line {first}). Delete one."
                self.mistakes.append(Mistake(_line(key_node), path_text(here), text))
                continue
            self.lines[here] = _line(key_node)
            found[key] = self._plain(value_node, here)
        return found


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _unreadable(file: str, line: int, what: str) -> MistakesError:
    """The one mistake that ends the reading."""
    return mapping_error(file, [Mistake(line, "", what)])


def _composed(text: str, file: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unreadable(file, 0 if mark is None else mark.line + 1, _worded(error)) from error
    except RecursionError as error:
        raise _unreadable(file, 0, "The mapping is nested too deep.") from error
    except (YAMLError, ValueError) as error:
        what = "The mapping holds characters that no text file should. Save it as UTF-8 text."
        raise _unreadable(file, 0, what) from error
    return node


def _worded(error: MarkedYAMLError) -> str:
    """YAML's own message for a person who does not know YAML."""
    original = " ".join(part for part in (error.context, error.problem) if part)
    for pattern, what, remedy in _YAML_WORDING:
        if re.search(pattern, original):
            return f"{what} {remedy}"
    return f"This is not valid YAML ({original})."


def read_text(path: Path) -> str:
    """The file's text, line ends as `\\n`. Raises MappingError if there is none."""
    remedy = "Name a YAML file, such as mappings/visits.yaml."
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise MappingError("There is no such mapping file.", where=str(path), remedy=remedy) from error
    except IsADirectoryError as error:
        raise MappingError("This is a folder, not a mapping file.", where=str(path), remedy=remedy) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MappingError(f"The mapping cannot be read ({reason}).", where=str(path)) from error
    if len(content) > SIZE_MAX_BYTES:
        raise MappingError(
            f"The mapping is larger than {SIZE_MAX_BYTES // 1024} KB.",
            where=str(path),
            remedy="Keep long lists in a file of their own (`values_file`).",
        )
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MappingError(
            "The mapping is not UTF-8 text.",
            where=f"{path}, line {line}",
            remedy="Save it as UTF-8 in your editor.",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def checked_shape(document: Document) -> tuple[MappingSpec | None, list[Mistake], set[Where]]:
    """The mapping as the models have it; else what they find wrong, and which blocks it is in
    (`("Fields", name)` or `(key,)`)."""
    try:
        return MappingSpec.model_validate(document.data), [], set()
    except ValidationError as error:
        mistakes, bad = [], set()
        for found in error.errors(include_url=False):
            where: Where = tuple(part for part in found["loc"] if part != "[key]")
            bad.add(where[:2] if where[:1] == ("Fields",) else where[:1])
            text = _shape_text(found["type"], where, found)
            mistakes.append(mistake_at(document.lines, where, text, missing=found["type"] == "missing"))
        return None, mistakes, bad


def _shape_text(kind: str, where: Where, found: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        return _unknown_key(key, where)
    if kind == "literal_error":
        return f"{quoted(str(found['input']))} is not possible here; it must be {found['ctx']['expected']}."
    if kind in _OWN_WORDING:
        return str(found["msg"]) + _instead(found["input"])
    if kind == OWN:
        return str(found["msg"])
    if kind in _SHAPE_WORDING:
        text = _SHAPE_WORDING[kind].replace("{key}", quoted(key))
        return text.replace(", or leave the line out", "") if where in _ALWAYS_NEEDED else text
    return f"{found['msg']}."


def _instead(value: object) -> str:
    if isinstance(value, str):
        return f" It says {quoted(value)}." if value else " There is nothing."
    return " There is a list." if isinstance(value, list) else " There is a block of keys."


def _unknown_key(key: str, where: Where) -> str:
    known = keys_of(_block_at(where[:-1]))
    if key == "<<":
        return "Merging with << is not supported. Write the keys out."
    if len(where) == 1 and re.match(r"mx_|Status$|Owner$", key):
        return f"There is no key {quoted(key)} here. Fields of the activity stand under `Fields:`."
    hint = did_you_mean(key, known) or f" Known keys here: {', '.join(known)}."
    return f"There is no key {quoted(key)} here.{hint}"


def _block_at(where: Where) -> type[BaseModel]:
    """The model whose keys stand at `where`."""
    named = [BLOCKS[part] for part in where if isinstance(part, str) and part in BLOCKS]
    return named[-1] if named else MappingSpec


class MappingText:
    """The text of a mapping, changed entry by entry: the rest stays byte for byte, comments and order too.

    Only the lines of the entry itself are written again. A text in which entries have no lines of their own
    (all of it between { and }) is written again as a whole, without its comments. It has to be YAML with
    keys; whether the mapping can be used is not asked.
    """

    def __init__(self, text: str) -> None:
        """Raises MistakesError where the text is no YAML with keys, or has one twice."""
        self._bom = BOM if text.startswith(BOM) else ""
        self._take(text.removeprefix(BOM))

    def __repr__(self) -> str:
        return f"<MappingText {list(self._data)}>"

    def text(self) -> str:
        """All of it; what was loaded, as long as nothing was changed."""
        return self._bom + self._text

    def block(self, where: Keys) -> Any:  # noqa: ANN401 - texts, lists and dicts of them
        """What stands at a top-level key, or at `("Fields", schema name)`; every scalar as its text. None if
        nothing does."""
        found: Any = self._data
        for part in where:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def fields(self) -> dict[str, Any]:
        """All of `Fields`, in the file's order."""
        found = self._data.get(FIELDS)
        return dict(found) if isinstance(found, dict) else {}

    def set(self, where: Keys, value: Value | None) -> None:
        """Put `value` there, in place of what is there or as a new entry; None removes the entry."""
        if self.block(where) == value:
            return
        entry = self._entry(where)
        if entry is None:
            text = self._text if value is None else self._inserted(where, value)
        else:
            text = self._without(where, entry) if value is None else self._replaced(entry, where[-1], value)
        self._take(text, _changed(self._data, where, where[-1], value))

    def rename(self, where: Keys, new: str) -> None:
        """Give the entry another key; its place, its comments and its value stay."""
        entry, text = self._entry(where), self._text
        if entry is not None:
            key = entry[0]
            text = text[: key.start_mark.index] + scalar(new) + text[key.end_mark.index :]
        self._take(text, _changed(self._data, where, new, self.block(where)))

    def _take(self, text: str, wanted: dict[str, Any] | None = None) -> None:
        """The text from now on. wanted: what it has to say; if it does not, all of it is written again."""
        if wanted is not None and not _says(text, wanted):
            lines = (entry_lines(key, value, 0, block=key == FIELDS) for key, value in wanted.items())
            text = "".join(f"{line}\n" for entry in lines for line in entry)
        document = Document(text, FILE)
        if document.mistakes:  # a key that is there twice
            raise mapping_error(FILE, document.mistakes)
        self._text, self._root, self._data = text, document.root, document.data
        self._break = "\r\n" if "\r\n" in text else "\n"

    def _entry(self, where: Keys) -> tuple[Node, Node] | None:
        """Key and value of an entry that has lines of its own; None if there is none, or if it has not."""
        found: tuple[Node, Node] | None = None
        node: Node = self._root
        for part in where:
            if not isinstance(node, MappingNode) or node.flow_style:
                return None
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return None
            node = found[1]
        return found

    def _behind(self, entry: tuple[Node, Node]) -> int:
        """Behind the line break of an entry's last line."""
        last = max(int(entry[0].start_mark.index), _entry_end(self._text, entry) - 1)
        return self._text.find("\n", last) + 1 or len(self._text)

    def _replaced(self, entry: tuple[Node, Node], key: str, value: Value) -> str:
        start, end = entry[0].start_mark.index, _entry_end(self._text, entry)
        block = isinstance(entry[1], MappingNode) and not entry[1].flow_style
        lines = entry_lines(key, value, entry[0].start_mark.column, block=block)
        if end < start or self._text[end - 1 : end] == "\n":  # a text of several lines, with its line break
            lines[-1] += self._break
        return self._text[:start] + self._break.join(lines).lstrip(" ") + self._text[end:]

    def _without(self, where: Keys, entry: tuple[Node, Node]) -> str:
        start = self._text.rfind("\n", 0, entry[0].start_mark.index) + 1
        text = self._text[:start] + self._text[self._behind(entry) :]
        fields = self._entry((FIELDS,))
        if where[0] == FIELDS and len(where) > 1 and len(self.fields()) == 1 and fields is not None:
            at = fields[0].start_mark.index
            text = f"{text[:at]}# {text[at:]}"
        return text

    def _inserted(self, where: Keys, value: Value) -> str:
        if where[0] == FIELDS and len(where) > 1:
            return self._field_inserted(where[1], value)
        rank = TOP_ORDER.index(where[0]) if where[0] in TOP_ORDER else len(TOP_ORDER)
        before = [entry for entry in self._root.value if entry[0].value in TOP_ORDER[:rank]]
        return self._with_lines(self._behind(before[-1]) if before else 0, entry_lines(where[0], value, 0))

    def _field_inserted(self, key: str, value: Value) -> str:
        fields = self._entry((FIELDS,))
        if fields is None:
            return self._with_lines(len(self._text), [f"{FIELDS}:", *entry_lines(key, value, 2)])
        last, indent = fields, 2
        if isinstance(fields[1], MappingNode) and not fields[1].flow_style and fields[1].value:
            last, indent = fields[1].value[-1], fields[1].value[0][0].start_mark.column
        return self._with_lines(self._behind(last), entry_lines(key, value, indent))

    def _with_lines(self, at: int, lines: list[str]) -> str:
        before = self._text[:at]
        if before and not before.endswith("\n"):
            before += self._break
        return before + "".join(line + self._break for line in lines) + self._text[at:]


def scalar(text: str) -> str:
    """A text as a YAML scalar that gives exactly this text, in a block as well as between { and }."""
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _SHORT_ESCAPES or char.isprintable():
        return _SHORT_ESCAPES.get(char, char)
    code = ord(char)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return Document(text, FILE).data == wanted
    except MappingError:
        return False


def _entry_end(text: str, entry: tuple[Node, Node]) -> int:
    """Behind an entry's value. A value that is missing has its mark only where something else begins."""
    key, value = entry
    if isinstance(value, ScalarNode) and value.start_mark.index == value.end_mark.index:
        return text.find(":", key.end_mark.index, value.start_mark.index + 1) + 1 or int(key.end_mark.index)
    return _end(text, value)


def _end(text: str, node: Node) -> int:
    """Behind the last character of a value; comments and blank lines that follow are not part of it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _entry_end(text, last) if isinstance(last, tuple) else _end(text, last)
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
        return end
    return start + len(text[start:end].rstrip())


def entry_lines(key: str, value: Value, indent: int, *, block: bool = False) -> list[str]:
    """An entry as lines: on one if it fits, unless it was a block before."""
    blank = " " * indent
    line = f"{blank}{scalar(key)}: {_flow(value)}"
    if isinstance(value, dict) and value and (block or len(line) > LINE_LENGTH):
        return [f"{blank}{scalar(key)}:", *_block_lines(value, indent + 2)]
    return [line]


def _block_lines(block: dict[str, Any], indent: int) -> Iterator[str]:
    for key, value in block.items():
        yield from entry_lines(key, value, indent)


def _flow(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


def _changed(data: dict[str, Any], where: Keys, new: str, value: Value | None) -> dict[str, Any]:
    """The data with another entry (its key is `new`) at `where`, in its place or behind the others; None
    removes it, and a block that is empty then."""
    key, rest = where[0], where[1:]
    if rest:
        inner = data.get(key)
        value = _changed(inner if isinstance(inner, dict) else {}, rest, new, value) or None
        new = key
    entries = {**data, key: value}
    return {new if name == key else name: each for name, each in entries.items() if each is not None}
