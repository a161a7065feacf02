"""A mapping file's text → plain values that know their line; and its faults, each with file, line and path.

Every scalar is the text as it is in the file: `007`, `1.10`, `no` and `null` stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from importer.errors import MappingError
from importer.mapping.choices import did_you_mean
from importer.mapping.model import BLOCKS, MappingSpec, keys_of
from importer.text import quoted

SIZE_MAX_BYTES: Final = 512 * 1024
VALUES_MAX: Final = 50_000
"""Values in a file after its aliases are written out: an alias bomb has billions."""
NESTING_MAX: Final = 12
MISTAKES_SHOWN_MAX: Final = 40

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


def line_of(lines: dict[Where, int], where: Where) -> int:
    """The line of `where`, or of the nearest thing around it that the file holds."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 0)


class Document:
    """A mapping file's content. data: dicts, lists and texts. lines: the line of each part. root: YAML's
    own view of it, with the places in the text."""

    def __init__(self, text: str) -> None:
        """Raises MappingError (without the file's name) if it is no YAML or no mapping of keys."""
        self.mistakes: list[Mistake] = []
        self.lines: dict[Where, int] = {}
        self._count = 0
        node = _composed(text)
        if node is None:
            raise _Unreadable(
                Mistake(0, "", "The mapping is empty. Start from `importer init`, or a sample.")
            )
        if not isinstance(node, MappingNode):
            raise _Unreadable(Mistake(1, "", "The mapping must consist of lines like `key: value`."))
        self.root: MappingNode = node
        self.data: dict[str, Any] = self._mapping(node, ())

    def line(self, where: Where) -> int:
        """The line of `where`, or of the nearest thing around it that the file holds."""
        return line_of(self.lines, where)

    def mistake(self, where: Where, text: str, *, missing: bool = False) -> Mistake:
        """A mistake at `where`. Its path ends with what the file holds, unless that is what is missing."""
        shown = where
        while not missing and len(shown) > 1 and shown not in self.lines:
            shown = shown[:-1]
        return Mistake(self.line(where), path_text(shown), text)

    def _plain(self, node: Node, where: Where) -> Any:  # noqa: ANN401 - whatever the file holds
        self._count += 1
        if self._count > VALUES_MAX or len(where) > NESTING_MAX:
            raise _Unreadable(Mistake(_line(node), "", "The mapping is nested too deep, or is too large."))
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


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """Carries the one mistake that ends the reading."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.text)
        self.mistake = mistake


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _composed(text: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Unreadable(Mistake(0 if mark is None else mark.line + 1, "", _worded(error))) from error
    except RecursionError as error:
        raise _Unreadable(Mistake(0, "", "The mapping is nested too deep.")) from error
    except (YAMLError, ValueError) as error:
        what = "The mapping holds characters that no text file should. Save it as UTF-8 text."
        raise _Unreadable(Mistake(0, "", what)) from error
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


def read_document(text: str, file: str) -> Document:
    """The parsed file. Raises MappingError if it cannot be parsed at all; its `mistakes` hold the rest."""
    try:
        return Document(text)
    except _Unreadable as error:
        raise mapping_error(file, [error.mistake]) from error


def shape_mistakes(document: Document) -> tuple[list[Mistake], set[Where]]:
    """What the models find wrong, and which blocks it is in (`("Fields", name)` or `(key,)`)."""
    try:
        MappingSpec.model_validate(document.data)
    except ValidationError as error:
        mistakes, bad = [], set()
        for found in error.errors(include_url=False):
            where: Where = tuple(part for part in found["loc"] if part != "[key]")
            bad.add(where[:2] if where[:1] == ("Fields",) else where[:1])
            text = _shape_text(found["type"], where, found)
            mistakes.append(document.mistake(where, text, missing=found["type"] == "missing"))
        return mistakes, bad
    return [], set()


def _shape_text(kind: str, where: Where, found: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        return _unknown_key(key, where)
    if kind == "literal_error":
        return f"{quoted(str(found['input']))} is not possible here; it must be {found['ctx']['expected']}."
    if kind in _OWN_WORDING:
        return str(found["msg"]) + _instead(found["input"])
    if kind in _SHAPE_WORDING:
        return _SHAPE_WORDING[kind].replace("{key}", quoted(key))
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
