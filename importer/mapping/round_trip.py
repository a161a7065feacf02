"""A mapping's text, changed entry by entry: what is not changed stays byte for byte, comments and order too.

    text = MappingText(path.read_text(encoding="utf-8"))
    text.set(("Fields", "mx_Custom_1"), {"column": "Outcome", "one_of": ["Won", "Lost"]})
    path.write_text(text.text(), encoding="utf-8")

Only the lines of the entry itself are written again. A file in which entries have no lines of their own
(all of it between { and }) is written again as a whole, without its comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from importer.errors import MappingError
from importer.mapping.yaml_file import mapping_error, read_document

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

Where = tuple[str, ...]
Value = str | list[str] | dict[str, Any]


class MappingText:
    """The text of a mapping. It has to be YAML with keys; whether the mapping can be used is not asked."""

    def __init__(self, text: str) -> None:
        """Raises MistakesError where the text is no YAML with keys, or has one twice."""
        self._bom = BOM if text.startswith(BOM) else ""
        self._take(text.removeprefix(BOM))

    def __repr__(self) -> str:
        return f"<MappingText {list(self._data)}>"

    def text(self) -> str:
        """All of it; what was loaded, as long as nothing was changed."""
        return self._bom + self._text

    def block(self, where: Where) -> Any:  # noqa: ANN401 - texts, lists and dicts of them
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

    def set(self, where: Where, value: Value | None) -> None:
        """Put `value` there, in place of what is there or as a new entry; None removes the entry."""
        if self.block(where) == value:
            return
        wanted = _changed(self._data, where, value)
        entry = self._entry(where)
        if value is None:
            self._take(self._without(where) if entry else self._text, wanted)
        elif entry is not None:
            self._take(self._replaced(entry, where[-1], value), wanted)
        else:
            self._take(self._inserted(where, value), wanted)

    def rename(self, where: Where, new: str) -> None:
        """Give the entry another key; its place, its comments and its value stay."""
        entry = self._entry(where)
        wanted = _renamed(self._data, where, new)
        if entry is None:
            self._take(self._text, wanted)
            return
        start, end = entry[0].start_mark.index, entry[0].end_mark.index
        self._take(self._text[:start] + scalar(new) + self._text[end:], wanted)

    def _take(self, text: str, wanted: dict[str, Any] | None = None) -> None:
        """The text from now on. wanted: what it has to say; if it does not, all of it is written again."""
        if wanted is not None and not _says(text, wanted):
            text = "".join(f"{line}\n" for line in _document(wanted))
        document = read_document(text, FILE)
        if document.mistakes:  # a key that is there twice
            raise mapping_error(FILE, document.mistakes)
        self._text, self._root, self._data = text, document.root, document.data

    def _entry(self, where: Where) -> tuple[Node, Node] | None:
        """Key and value of an entry that has lines of its own; None if there is none, or if it has not."""
        node: Node = self._root
        found: tuple[Node, Node] | None = None
        for part in where:
            if not isinstance(node, MappingNode) or node.flow_style:
                return None
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return None
            node = found[1]
        return found

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Behind the line break of the line in which `index` lies."""
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found + 1

    @property
    def _break(self) -> str:
        return "\r\n" if "\r\n" in self._text else "\n"

    def _replaced(self, entry: tuple[Node, Node], key: str, value: Value) -> str:
        start, end = entry[0].start_mark.index, _entry_end(self._text, entry)
        indent = start - self._line_start(start)
        block = isinstance(entry[1], MappingNode) and not entry[1].flow_style
        lines = _entry_lines(key, value, indent, block=block)
        if end < start or self._text[end - 1 : end] == "\n":  # a text of several lines, with its line break
            lines[-1] += self._break
        return self._text[:start] + self._break.join(lines).lstrip(" ") + self._text[end:]

    def _without(self, where: Where) -> str:
        entry = self._entry(where)
        assert entry is not None, "asked only of an entry with lines of its own"
        start = self._line_start(entry[0].start_mark.index)
        end = self._line_end(max(start, _entry_end(self._text, entry) - 1))
        text = self._text[:start] + self._text[end:]
        if where[0] == FIELDS and len(where) > 1 and len(self.fields()) == 1:
            fields = self._entry((FIELDS,))
            if fields is not None:
                at = fields[0].start_mark.index
                text = f"{text[:at]}# {text[at:]}"
        return text

    def _inserted(self, where: Where, value: Value) -> str:
        if where[0] == FIELDS and len(where) > 1:
            return self._field_inserted(where[1], value)
        lines = _entry_lines(where[0], value, 0)
        rank = TOP_ORDER.index(where[0]) if where[0] in TOP_ORDER else len(TOP_ORDER)
        before = [
            (key, value)
            for key, value in self._root.value
            if key.value in TOP_ORDER and TOP_ORDER.index(key.value) < rank
        ]
        at = self._line_end(max(0, _entry_end(self._text, before[-1]) - 1)) if before else 0
        return self._with_lines(at, lines)

    def _field_inserted(self, key: str, value: Value) -> str:
        fields = self._entry((FIELDS,))
        if fields is None:
            return self._with_lines(len(self._text), [f"{FIELDS}:", *_entry_lines(key, value, 2)])
        if isinstance(fields[1], MappingNode) and not fields[1].flow_style and fields[1].value:
            first, last = fields[1].value[0][0], fields[1].value[-1]
            indent = first.start_mark.index - self._line_start(first.start_mark.index)
            at = self._line_end(max(0, _entry_end(self._text, last) - 1))
            return self._with_lines(at, _entry_lines(key, value, indent))
        at = self._line_end(fields[0].start_mark.index)
        return self._with_lines(at, _entry_lines(key, value, 2))

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
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return read_document(text, FILE).data == wanted
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
    end = int(node.end_mark.index)
    if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
        return end
    return int(node.start_mark.index) + len(text[node.start_mark.index : end].rstrip())


def _entry_lines(key: str, value: Value, indent: int, *, block: bool = False) -> list[str]:
    """An entry as lines: on one if it fits, unless it was a block before."""
    blank = " " * indent
    line = f"{blank}{scalar(key)}: {_flow(value)}"
    if isinstance(value, dict) and value and (block or len(line) > LINE_LENGTH):
        return [f"{blank}{scalar(key)}:", *_block_lines(value, indent + 2)]
    return [line]


def _block_lines(block: dict[str, Any], indent: int) -> Iterator[str]:
    for key, value in block.items():
        yield from _entry_lines(key, value, indent)


def _flow(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


def _document(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        yield from _entry_lines(key, value, 0, block=key == FIELDS)


def _changed(data: dict[str, Any], where: Where, value: Value | None) -> dict[str, Any]:
    """The data after `set`, entries in the order in which the text will have them."""
    key, rest = where[0], where[1:]
    if rest:
        inner = data.get(key)
        after: Any = _changed(inner if isinstance(inner, dict) else {}, rest, value)
        value = after or None
    if value is None:
        return {name: each for name, each in data.items() if name != key}
    return {**data, key: value}


def _renamed(data: dict[str, Any], where: Where, new: str) -> dict[str, Any]:
    key, rest = where[0], where[1:]
    if rest:
        return {**data, key: _renamed(data[key], rest, new)}
    return {new if name == key else name: value for name, value in data.items()}
