"""Mistakes in a mapping file: all of them at once, each with file, line, path and remedy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import MappingError
from importer.mapping.mapping import Mapping, load_mapping

HEAD = "RelatedCompanyId: Account ID\nActivityEvent: 10001\n"


def mistakes(text: str) -> list[str]:
    """What is said about a mapping's text, one entry per mistake, without the file's name."""
    with pytest.raises(MappingError) as caught:
        Mapping.from_record({"path": "m.yaml", "text": text, "tables": {}})
    return [line.removeprefix("m.yaml, ").removeprefix("m.yaml: ") for line in str(caught.value).splitlines()]


def field_mistakes(spec: str) -> list[str]:
    """What is said about the block of `mx_A`, without its place."""
    said = mistakes(f"{HEAD}Fields:\n  mx_A: {spec}\n")
    return [
        line.removeprefix("line 4, Fields → mx_A").removeprefix(" → ").removeprefix(": ") for line in said
    ]


def test_every_mistake_is_told_at_once_in_the_files_order(tmp_path: Path) -> None:
    """Unknown keys, missing keys, impossible values and contradictions together."""
    path = tmp_path / "visits.yaml"
    path.write_text(
        "naem: Visits\n"
        "ActivityEvent: 0\n"
        "Fields:\n"
        "  mx_Custom_1: {column: Outcome, one_off: [Won]}\n"
        "  mx_Custom_2: {column: Date, type: datetime}\n"
        "  mx_Custom_1: {column: Outcome}\n",
        encoding="utf-8",
    )
    with pytest.raises(MappingError) as caught:
        load_mapping(path)
    assert str(caught.value).splitlines() == [
        f'{path}, RelatedCompanyId: "RelatedCompanyId" is missing. Add it.',
        f'{path}, line 1, naem: There is no key "naem" here. Did you mean "name"?',
        (
            f'{path}, line 2, ActivityEvent: "0" is not the code of an activity type, such as 10001.'
            " LeadSquared lists them in Settings > Accounts Customization; `values` turns names into codes."
        ),
        (
            f'{path}, line 4, Fields → mx_Custom_1 → one_off: There is no key "one_off" here.'
            ' Did you mean "one_of"?'
        ),
        (
            f"{path}, line 5, Fields → mx_Custom_2 → type:"
            " A datetime needs a `timezone`, such as timezone: Asia/Kolkata."
        ),
        (
            f'{path}, line 6, Fields → mx_Custom_1: "mx_Custom_1" is here a second time'
            " (first in line 4). Delete one."
        ),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Status: {value: x}", 'Status: There is no key "Status" here. Fields of the activity stand under'),
        ("fields: {}", 'fields: There is no key "fields" here. Did you mean "Fields"?'),
        ("header_row: 0", 'header_row: Write a whole number from 1 here. It says "0".'),
        ("header_row: 1_0", 'header_row: Write a whole number from 1 here. It says "1_0".'),
        ("sheet:", "sheet: There is nothing here. Write a value, or leave the line out."),
        ("sheet: [a]", "sheet: Write a single text here"),
        (
            "encoding: utf8mb4",
            'encoding: "utf8mb4" is not an encoding that is known here. Common ones: utf-8',
        ),
        ("encoding: rot13", 'encoding: "rot13" is not an encoding that is known here.'),
        ("delimiter: ab", 'delimiter: "ab" is not a delimiter. Write one of , ; | or tab.'),
        ("marker: my field", 'marker: "my field" is not a schema name, such as mx_Custom_9.'),
        ("marker: mx_a\nFields: {mx_A: X}", "marker: mx_a is filled by the sheet; the marker needs a field"),
        ("Fields: [mx_A]", "Fields: A block of key: value lines is wanted here."),
        ("Fields: {mx_A: X, MX_a: Y}", 'Fields → MX_a: "MX_a" and "mx_A" differ only in case. Keep one.'),
        ("Fields: {Visit date: X}", 'Fields → Visit date: "Visit date" is not a schema name, such as mx_'),
        (
            "Fields: {ActivityNote: X}",
            "Fields → ActivityNote: ActivityNote belongs beside `Fields:`, not under",
        ),
        (
            "ActivityNote: {template: {A}}",
            "ActivityNote → template: Write a single text here; put quotes",
        ),
        (
            "accept: [mixed-date]",
            'accept → 1: "mixed-date" is not a question. Did you mean "mixed-dates"? Questions: decimal',
        ),
        ("accept: missing", 'accept: "missing" is not a question.'),
        ("<<: {a: b}", "<<: Merging with << is not supported. Write the keys out."),
        (
            "ActivityEvent: 10002",
            'ActivityEvent: "ActivityEvent" is here a second time (first in line 2).',
        ),
    ],
)
def test_mistakes_at_the_top(text: str, expected: str) -> None:
    """One mistake each, in line 3 of the file."""
    said = mistakes(HEAD + text)
    assert (len(said), said[0][: len(expected) + 8]) == (1, f"line 3, {expected}")


@pytest.mark.parametrize(
    ("spec", "start"),
    [
        ("{}", "There is no source for the value"),
        ("", "There is nothing here"),
        ("[A]", "A block of key: value lines is wanted"),
        ("{column: A, value: B}", "value: `value` and `column` exclude each other"),
        ("{column: A, type: datetme}", "type: \"datetme\" is not possible here; it must be 'text'"),
        ("{column: A, required: yes}", 'required: Write true or false here. It says "yes"'),
        ("{column: A, one_of: []}", "one_of: There is nothing here"),
        ("{column: A, one_of: Won}", "one_of: A list is wanted here"),
        ("{column: A, one_of: [a], values: {a: b}}", "values: `values` and `one_of` exclude each other"),
        ("{column: A, one_of: [a], default: b}", 'default: "b" is not one of "a"'),
        ("{column: A, values: {a: 1, a: 2}}", 'values → a: "a" is here a second time'),
        ("{column: A, values: {a: 1, 'a ': 2}}", 'values → a : "a" is listed twice, with different values'),
        ("{column: A, values: {'': 1}}", "values → : An empty key matches nothing"),
        ("{column: A, type: number, values: {a: x}}", 'values → a: "x" is not a number'),
        ("{column: A, type: number, one_of: [1, x]}", 'one_of → 2: "x" is not a number'),
        ("{column: A, type: boolean, one_of: [yes]}", "one_of: A boolean is yes or no already"),
        ("{column: A, format: '%d/%m/%Y'}", "format: `format` belongs to type date or datetime"),
        ("{column: A, type: date, format: '%d/%M/%Y'}", 'format: The format "%d/%M/%Y" has no month'),
        ("{column: A, type: date, format: ['%d/%m/%Y', '%d']}", 'format → 2: The format "%d" has no year'),
        (
            "{column: A, type: datetime, timezone: UTC, format: '%Y-%m-%dT%H:%M:%SZ'}",
            'format: The format "%Y-%m-%dT%H:%M:%SZ" has Z as plain text',
        ),
        (
            "{column: A, type: datetime, timezone: UTC, format: '%d/%m/%Y %H:%M +05:30'}",
            'format: The format "%d/%m/%Y %H:%M +05:30" has +05:30 as plain text',
        ),
        (
            "{column: A, type: datetime, timezone: EST}",
            'timezone: "EST" is 5 hours behind UTC also in summer. It can mean the eastern United States',
        ),
        (
            "{column: A, type: datetime, timezone: IST}",
            'timezone: "IST" is not a time zone. It can mean India (Asia/Kolkata), Israel',
        ),
        (
            "{column: A, type: datetime, timezone: GMT+5:30}",
            'timezone: "GMT+5:30" is not a time zone. It is a distance from UTC. Write the place instead',
        ),
        (
            "{column: A, type: datetime, timezone: kolkata}",
            'timezone: "kolkata" is not a time zone. Write Asia/Kolkata.',
        ),
        (
            "{column: A, type: datetime, timezone: Mumbai}",
            'timezone: "Mumbai" is not a time zone. Write it as continent and city',
        ),
        (
            "{column: A, type: date, format: '%d %b %Y', locale: xx}",
            'locale: The month names of "xx" are not known here. Known: en, da, de',
        ),
        (
            "{column: A, separator: ';'}",
            "separator: `separator` belongs to type list, but the type here is text",
        ),
        ("{column: A, currency: true}", "currency: `currency` belongs to type number or integer"),
        ("{column: A, type: date, timezone: Asia/Kolkata}", "timezone: `timezone` belongs to type datetime"),
        (
            "{column: A, type: datetime, timezone: Asia/Kolkatta}",
            'timezone: "Asia/Kolkatta" is not a time zone. Write',
        ),
        (
            "{column: A, type: datetime, timezone: ../../etc/passwd}",
            'timezone: "../../etc/passwd" is not a time zone',
        ),
        ("{column: A, type: date, max_length: 5}", "max_length: `max_length` belongs to type text"),
        ("{column: A, decimal: ','}", "decimal: `decimal` belongs to type number or integer"),
        (
            "{column: A, type: number, decimal: ';'}",
            "decimal: \";\" is not possible here; it must be '.' or ','",
        ),
        ("{column: A, send: {true: 1, false: 0}}", "send: `send` belongs to type boolean"),
        ("{column: A, type: boolean, send: {true: 1}}", 'send → false: "false" is missing'),
        (
            "{column: A, type: boolean, send: {tru: 1, false: 0}}",
            'send → tru: There is no key "tru" here. Did you mean "true"?',
        ),
        ("{column: A, type: number, strip: false}", "strip: `strip: false` belongs to type text"),
        (
            "{column: A, send_empty: true, required: true}",
            "send_empty: `send_empty` and `required` contradict",
        ),
        ("{value: A, default: B}", "default: `default` has no meaning beside a constant"),
        ("{value: ''}", "value: There is nothing here"),
        ("{value: abc, type: number}", 'value: "abc" is not a number'),
        ("{value: toolong, max_length: 3}", 'value: "toolong" has 7 characters'),
        ("{template: plain}", "template: There is no column in braces here"),
        ("{template: '{A'}", "template: A { without its }"),
        ("{template: 'A}'}", "template: A } without its {"),
        ("{template: '{}'}", "template: A { without its }, or nothing between them"),
        ("{column: A, lookup: user, type: text}", "type: A lookup gives an Id"),
        ("{column: A, lookup: user, company_type: Account}", "company_type: `company_type` belongs to"),
        (
            "{column: A, lookup: account, company_type: Account}",
            "lookup: Add the attribute that the column holds",
        ),
        ("{column: A, lookup: account, by: mx_Code}", "lookup: Add the type of account to search"),
        ("{column: A, by: EmailAddress}", "by: `by` belongs to a lookup"),
        ("{column: A, lookup: usr}", "lookup: \"usr\" is not possible here; it must be 'user' or 'account'"),
        ("{column: A, lookup: user, max_length: 5}", "max_length: `max_length` has no meaning with a lookup"),
    ],
)
def test_mistakes_in_a_field(spec: str, start: str) -> None:
    """What makes no sense is refused rather than ignored."""
    assert field_mistakes(spec)[0].startswith(start), field_mistakes(spec)


@pytest.mark.parametrize(
    ("company", "start"),
    [
        ("{value: 42}", 'line 1, RelatedCompanyId → value: "42" is not a LeadSquared Id'),
        (
            "{column: A, required: false}",
            "line 1, RelatedCompanyId → required: RelatedCompanyId is always needed",
        ),
        ("{column: A, lookup: user}", "line 1, RelatedCompanyId → lookup: This is an account, not a user"),
        ("{column: A, template: x}", 'line 1, RelatedCompanyId → template: There is no key "template" here'),
        (
            "{column: A, type: text}",
            "line 1, RelatedCompanyId → type: \"text\" is not possible here; it must be 'id'",
        ),
        ("", "line 1, RelatedCompanyId: There is nothing here. Write a value."),
    ],
)
def test_mistakes_in_the_account(company: str, start: str) -> None:
    assert mistakes(f"RelatedCompanyId: {company}\nActivityEvent: 10001")[0].startswith(start)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "The mapping is empty. Start from `importer init`, or a sample."),
        ("# only a comment", "The mapping is empty. Start from `importer init`, or a sample."),
        ("just text", "line 1: The mapping must consist of lines like `key: value`."),
        ("- a\n- b", "line 1: The mapping must consist of lines like `key: value`."),
        ("Fields:\n\tmx_A: x", "line 2: There is a tab where blanks should be. Indent with spaces."),
        ("a: %d", "line 1: A value must not begin with %, @ or ` unquoted. Put quotes around it"),
        ("a: b: c", "line 1: There is a colon too many, or the indentation is wrong. Put quotes around"),
        ("a: 'x", "line 1: A quoted text does not end. Add the missing quote."),
        ("a: [1, 2", "line 1: A { or [ is not closed, or a comma is missing. Close it with } or ]."),
        ("a: *b", "line 1: A * refers to nothing. Put quotes around texts that begin with *."),
        ("a: 1\n---\nb: 2", "line 2: A line --- begins a second document. Keep one mapping in a file."),
        ("a: \x00", "The mapping holds characters that no text file should. Save it as UTF-8 text."),
        ("? [a]\n: b", "line 1: A key must be a single text. Put quotes around texts with { or [ in them."),
    ],
)  # fmt: skip
def test_yaml_that_does_not_parse_is_explained(text: str, expected: str) -> None:
    assert any(said.startswith(expected) for said in mistakes(text)), mistakes(text)


def test_scalars_are_text_exactly_as_written() -> None:
    """Octal, dates, floats, yes and no, null: nothing is interpreted."""
    words = ["007", "1.10", "2026-07-31", "no", "null", "~", "0x1F", "1e3", "12:30", "TRUE", "-", "2_000"]
    listed = ", ".join(words)
    mapping = Mapping.from_record(
        {"path": "m.yaml", "tables": {}, "text": f"{HEAD}Fields: {{mx_A: {{column: X, one_of: [{listed}]}}}}"}
    )
    choices = mapping.fields[0].choices
    assert choices is not None
    assert list(choices.keys) == words


@pytest.mark.parametrize("name", ["alias_bomb", "endless_alias", "deep_nesting", "deep_blocks", "many_keys"])
def test_a_hostile_mapping_is_refused_quickly(name: str) -> None:
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    text = {
        "alias_bomb": f"l0: &l0 x\n{layers}",
        "endless_alias": "a: &a {b: *a}",
        "deep_nesting": "a: " + "[" * 5_000,
        "deep_blocks": "\n".join(" " * n + "a:" for n in range(500)),
        "many_keys": "\n".join(f"k{n}: x" for n in range(5_000)),
    }[name]
    began = time.process_time()  # of the processor: other tests run beside this one
    assert mistakes(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: \xe9", "not UTF-8 text"),
        (b"#" * 600_000, "larger than 512 KB"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(MappingError, match=words):
        load_mapping(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.yaml", "no such mapping file"), (tmp_path, "a folder")):
        with pytest.raises(MappingError, match=words):
            load_mapping(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_editors_on_windows_save_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes((HEAD.replace("\n", "\r\n") + "name: Besuche für Öst\r\n").encode(encoding))
    assert load_mapping(path).name == "Besuche für Öst"


def test_a_values_file_that_is_not_there_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"{HEAD}Fields:\n  mx_A: {{column: X, values_file: codes.csv}}\n", encoding="utf-8")
    with pytest.raises(MappingError, match=r"m.yaml, line 4, Fields → mx_A → values_file: .*codes.csv"):
        load_mapping(path)


def test_many_mistakes_are_capped() -> None:
    said = mistakes(HEAD + "Fields:\n" + "".join(f"  mx_{n}: {{}}\n" for n in range(100)))
    assert (len(said), said[-1]) == (41, "… and 60 more.")


@given(st.text(alphabet="abRF:{}[]*&!|>-%@'\"\\#,? \n\t\x00é0", max_size=60))
def test_any_text_is_a_mapping_or_a_mapping_error(text: str) -> None:
    try:
        Mapping.from_record({"path": "m.yaml", "text": f"{HEAD}{text}", "tables": {}})
    except MappingError as error:
        assert str(error).startswith("m.yaml")  # noqa: PT017 - either way out is right
