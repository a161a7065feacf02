"""`importer init`, through the command line: from a sheet that nobody made for it to a mapping that works."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from pathlib import Path

import pytest
from conftest import Importer, StartTenant, child_environment, importer_command
from sheets import old_workbook, open_document, raw_workbook, sheet_xml, text_rows, trap
from visits import OURS

from importer.mapping.mapping import load_mapping

ACCOUNTS = tuple(f"3f2504e0-4f89-41d3-9a0c-0305e82c33{number:02}" for number in range(40))


def columns_of(mapping: Path) -> tuple[str, ...]:
    """The headings that a mapping uses, each once."""
    found = load_mapping(mapping)
    note = () if found.note is None else (found.note,)
    fields = (found.company, found.event, *note, *found.fields)
    return tuple(dict.fromkeys(heading for field in fields for heading in field.headings))


def _csv(folder: Path, header: str, *rows: str, name: str = "visits.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def _visits(folder: Path) -> Path:
    rows = [
        f"{ACCOUNTS[at]},{at % 28 + 1:02}/07/2026 10:30,{('Won', 'Lost', 'Open')[at % 3]},good visit {at}"
        for at in range(30)
    ]
    return _csv(folder, "Account ID,Visit date,Outcome,Remarks", *rows)


def _unmade_workbook(path: Path) -> Path:
    """Title rows, account codes, e-mail addresses, three shapes of date, a slip of the finger."""
    import xlsxwriter

    headings = [
        "S.No",
        "Account Code",
        "Visited by (e-mail)",
        "Date of visit",
        "Result: outcome #",
        "Remarks",
    ]
    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet("Field visits")
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        tab.merge_range(0, 0, 0, 5, "Visits of the north region, July 2026")
        tab.write_row(1, 0, ["Printed by", "M. Müller"])
        tab.write_row(3, 0, headings)
        for at in range(30):
            row = 4 + at
            tab.write_row(
                row, 0, [at + 1, f"ACC-1{at % 6:03}", ("asha@example.com", "mei@example.com")[at % 2]]
            )
            match at % 3:
                case 0:
                    tab.write_datetime(row, 3, dt.datetime(2026, 7, 1 + at), day)  # noqa: DTZ001
                case 1:
                    tab.write(row, 3, f"{at + 1}/7/2026")
                case _:
                    tab.write(row, 3, f"{at + 1} Jul 2026")
            tab.write(row, 4, "Wno" if at == 7 else ("Won", "Lost", "Open")[at % 3])
            tab.write(row, 5, f"visit {at}")
    return path


def test_a_sheet_becomes_a_mapping_that_passes_check(importer: Importer, tmp_path: Path) -> None:
    """With the code given nothing is left to fill in."""
    source, mapping = _visits(tmp_path), tmp_path / "visits.yaml"
    made = importer("init", source, "-o", mapping, "--event", "10001")
    checked = importer("check", source, "-m", mapping, "--json")

    assert (made.exit, checked.exit, checked.json["valid"]) == (0, 0, 30)
    assert columns_of(mapping) == ("Account ID", "Remarks", "Visit date", "Outcome")


def test_a_program_learns_what_was_decided(importer: Importer, tmp_path: Path) -> None:
    """One JSON object: the file, what was read, what is missing, what was doubtful."""
    mapping = tmp_path / "visits.yaml"
    result = importer("init", _visits(tmp_path), "-o", mapping, "--json")

    found = result.json
    assert (found["mapping"], found["header_row"], found["rows"], found["columns"]) == (
        str(mapping),
        1,
        30,
        4,
    )
    assert (found["mapped"], found["exit"]) == (4, 0)
    assert [(each["key"], each["column"]) for each in found["fill_in"]] == [("ActivityEvent", None)]
    assert {each["column"] for each in found["look_at"]} == {"Visit date"}


def test_without_the_code_the_message_names_the_line(importer: Importer, tmp_path: Path) -> None:
    """It ends with 0; `check` refuses that very line until it is filled in."""
    source, mapping = _visits(tmp_path), tmp_path / "visits.yaml"
    line = importer("init", source, "-o", mapping, "--json").json["fill_in"][0]["line"]
    refused = importer("check", source, "-m", mapping)
    lines = mapping.read_text(encoding="utf-8").splitlines()
    lines[line - 1] += " 10001"
    mapping.write_text("\n".join(lines), encoding="utf-8")

    assert (refused.exit, f"line {line}, ActivityEvent" in refused.stderr) == (2, True)
    assert importer("check", source, "-m", mapping).exit == 0


def test_a_workbook_that_was_not_made_for_it(importer: Importer, tmp_path: Path) -> None:
    """Headings below the title, codes and addresses looked up, three shapes of date, the slip named."""
    source, mapping = _unmade_workbook(tmp_path / "not_made_for_it.xlsx"), tmp_path / "m.yaml"
    made = importer("init", source, "-o", mapping, "--event", "10001", "--json")
    checked = importer("check", source, "-m", mapping, "--json")

    text = mapping.read_text(encoding="utf-8")
    assert (made.exit, made.json["header_row"]) == (0, 4)
    assert "column: Account Code\n  lookup: account\n" in text
    assert "Owner: {column: Visited by (e-mail), lookup: user, by: EmailAddress}" in text
    assert 'type: date, format: ["%d %b %Y", "%d/%m/%Y"]' in text
    assert any("Wno" in each["message"] for each in made.json["look_at"])
    assert [(group["kind"], group["cells"]) for group in checked.json["problems"]] == [
        ("not-listed", ["E12"])
    ]


def test_a_date_and_a_time_side_by_side_are_one_value(importer: Importer, tmp_path: Path) -> None:
    """And check reads them so."""
    rows = [f"{each},{at + 13}/07/2026,{at + 9}:30,x" for at, each in enumerate(ACCOUNTS[:6])]
    source = _csv(tmp_path, "Account ID,Visit day,Time in,Remarks", *rows)
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")
    checked = importer("check", source, "-m", tmp_path / "m.yaml", "--json")

    assert '"{Visit day} {Time in}"' in (tmp_path / "m.yaml").read_text(encoding="utf-8")
    (plan,) = load_mapping(tmp_path / "m.yaml").fields
    assert (plan.type.name, checked.json["valid"], checked.json["questions"]) == ("datetime", 6, [])


def test_lists_and_currencies_are_proposed(importer: Importer, tmp_path: Path) -> None:
    """What people had to write by hand."""
    rows = [f'{each},"Rs. 1,{at}50/-",Red; Blue' for at, each in enumerate(ACCOUNTS[:9])]
    rows[0] = f"{ACCOUNTS[0]},Rs. 20/-,Blue"
    source = _csv(tmp_path, "Account ID,Amount,Colours", *rows)
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")

    assert [plan.type.name for plan in load_mapping(tmp_path / "m.yaml").fields] == ["integer", "list"]
    assert importer("check", source, "-m", tmp_path / "m.yaml").exit == 0


def test_schema_names_come_from_leadsquared_with_online(
    importer: Importer, tmp_path: Path, start_tenant: StartTenant
) -> None:
    """Where it lists the fields of the activity type; where it does not, that is said."""
    outcome = {"name": "Outcome", "type": "dropdown", "values": ["Won"]}
    fields = {"mx_Custom_7": outcome, "mx_Custom_9": {"name": "Visit Date"}}
    rules = {"tenant": {"activity_types": "answered", "events": [10001], "fields": fields}}
    source = _visits(tmp_path)
    start_tenant(faults=rules)
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "10001", "--online")
    start_tenant()
    silent = importer("init", source, "-o", tmp_path / "n.yaml", "--event", "10001", "--online")

    assert {plan.name for plan in load_mapping(tmp_path / "m.yaml").fields} == {"mx_Custom_7", "mx_Custom_9"}
    assert (silent.exit, "does not list the fields" in silent.stderr) == (0, True)


def test_long_texts_are_read_quickly(importer: Importer, tmp_path: Path) -> None:
    """Forty different texts of 20,000 characters: none is compared with another."""
    texts = [("word " * 4_000) + str(at) for at in range(40)]
    rows = [f"{ACCOUNTS[at % 40]},{texts[at % 40]}" for at in range(46)]
    source = _csv(tmp_path, "Account ID,Outcome", *rows)

    assert importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1").exit == 0


def test_the_proposal_can_be_rehearsed(importer: Importer, tmp_path: Path) -> None:
    """init, check, run --sandbox: nothing else is needed."""
    source, mapping = _visits(tmp_path), tmp_path / "visits.yaml"
    importer("init", source, "-o", mapping, "--event", "10001")
    result = importer("run", source, "-m", mapping, "--sandbox", "--limit", "2", "--rate", "1000/1", "--json")

    assert result.json["created"] == 2


def test_an_existing_file_is_never_overwritten(importer: Importer, tmp_path: Path) -> None:
    """Exit code 2, and it is as it was."""
    mapping = tmp_path / "visits.yaml"
    mapping.write_text("mine", encoding="utf-8")
    result = importer("init", _visits(tmp_path), "-o", mapping, "--event", "10001", "--json")

    assert (result.exit, mapping.read_text(encoding="utf-8")) == (2, "mine")
    assert str(mapping) in result.json["error"]


def test_not_even_the_sheet_itself(importer: Importer, tmp_path: Path) -> None:
    """`-o visits.csv` is a slip."""
    source = _visits(tmp_path)
    before = source.read_bytes()

    assert (importer("init", source, "-o", source).exit, source.read_bytes() == before) == (2, True)


def test_a_missing_folder_is_named(importer: Importer, tmp_path: Path) -> None:
    """Exit code 2, before the sheet is read."""
    result = importer("init", _visits(tmp_path), "-o", tmp_path / "none" / "m.yaml")

    assert (result.exit, "no such folder" in result.stderr) == (2, True)


def test_a_refused_sheet_leaves_no_mapping(importer: Importer, tmp_path: Path) -> None:
    """A file that is not UTF-8 is a question, and `--encoding` its answer, which the mapping keeps."""
    source, mapping = tmp_path / "cp1252.csv", tmp_path / "m.yaml"
    source.write_bytes(f"Account ID;Name\n{ACCOUNTS[0]};Lefèvre\n".encode("cp1252"))
    refused = importer("init", source, "-o", mapping, "--event", "1")
    left = mapping.exists()
    importer("init", source, "-o", mapping, "--event", "1", "--encoding", "cp1252")

    assert (refused.exit, "--encoding" in refused.stderr, left) == (2, True, False)
    assert (load_mapping(mapping).encoding, load_mapping(mapping).delimiter) == ("cp1252", ";")
    assert importer("check", source, "-m", mapping).exit == 0


def test_a_byte_order_mark_outdoes_what_was_said(importer: Importer, tmp_path: Path) -> None:
    """The mapping does not keep an encoding that the file contradicts."""
    source, mapping = tmp_path / "v.csv", tmp_path / "m.yaml"
    source.write_text(f"Account ID,Name\n{ACCOUNTS[0]},Lefèvre\n", encoding="utf-8-sig")
    importer("init", source, "-o", mapping, "--event", "1", "--encoding", "cp1252")

    assert load_mapping(mapping).encoding is None


def test_a_delimiter_that_no_mapping_can_name_is_told(importer: Importer, tmp_path: Path) -> None:
    """It stays an option of the command line."""
    source, mapping = tmp_path / "v.csv", tmp_path / "m.yaml"
    source.write_text(f"Account ID^Name\n{ACCOUNTS[0]}^x\n", encoding="utf-8")
    made = importer("init", source, "-o", mapping, "--event", "1", "--delimiter", "^")

    assert (made.exit, "--delimiter" in mapping.read_text(encoding="utf-8")) == (0, True)
    assert importer("check", source, "-m", mapping, "--delimiter", "^").exit == 0


def test_title_rows_of_a_text_file_are_passed_over(importer: Importer, tmp_path: Path) -> None:
    """The delimiter shows below them only."""
    mapping = tmp_path / "m.yaml"
    importer("init", trap("title_rows.csv"), "-o", mapping, "--event", "1")
    text = mapping.read_text(encoding="utf-8")

    assert ("header_row: 4\n" in text, "delimiter: semicolon\n" in text) == (True, True)


def test_blank_rows_above_the_headings(importer: Importer, tmp_path: Path) -> None:
    """In a workbook as in a text file."""
    table = [["Account ID", "Outcome"], *([ACCOUNTS[at], "Won"] for at in range(5))]
    book = raw_workbook(tmp_path / "blank_above.xlsx", sheet_xml(text_rows(table, first=3)))
    text = _csv(tmp_path, "", "", ",".join(table[0]), *(",".join(row) for row in table[1:]))
    rows = [
        importer("init", path, "-o", f"{path}.yaml", "--json").json["header_row"] for path in (book, text)
    ]

    assert rows == [3, 3]


def test_several_sheets_are_listed_and_the_chosen_one_is_kept(importer: Importer, tmp_path: Path) -> None:
    """As everywhere else."""
    table = sheet_xml(text_rows([["Account ID", "Outcome"], [ACCOUNTS[0], "Won"]]))
    source = raw_workbook(tmp_path / "two.xlsx", {"July": table, "August": table})
    refused = importer("init", source, "-o", tmp_path / "m.yaml")
    importer("init", source, "-o", tmp_path / "m.yaml", "--sheet", "august", "--event", "1")

    assert (refused.exit, '"July", "August"' in refused.stderr) == (2, True)
    assert load_mapping(tmp_path / "m.yaml").sheet == "August"


def test_other_workbooks(importer: Importer, tmp_path: Path) -> None:
    """.xls and .ods: title rows, dates with times."""
    when = dt.datetime(2026, 7, 31, 10, 30)  # noqa: DTZ001
    rows: list[list[object]] = [
        ["Visits"],
        ["Account ID", "When", "Done"],
        *([ACCOUNTS[at], when, "yes"] for at in range(6)),
    ]
    xls = old_workbook(tmp_path / "v.xls", {"Visits": rows})
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    lines = [["Account ID", "Done"], *([ACCOUNTS[at], "no"] for at in range(6))]
    ods = open_document(
        tmp_path / "v.ods",
        "".join(
            f"<table:table-row>{''.join(cell.format(each) for each in line)}</table:table-row>"
            for line in lines
        ),
    )
    for source, types in ((xls, ["datetime", "boolean"]), (ods, ["boolean"])):
        mapping = tmp_path / f"{source.suffix[1:]}.yaml"
        assert importer("init", source, "-o", mapping, "--event", "1").exit == 0
        assert [plan.type.name for plan in load_mapping(mapping).fields] == types
        assert importer("check", source, "-m", mapping).exit == 0


def test_headings_that_no_mapping_can_name_stay_comments(importer: Importer, tmp_path: Path) -> None:
    """Empty and doubled ones, each with the reason."""
    source = _csv(tmp_path, "Account ID,Outcome,,Outcome", *(f"{each},Won,x,Lost" for each in ACCOUNTS[:5]))
    result = importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")
    text = (tmp_path / "m.yaml").read_text(encoding="utf-8")

    assert (result.exit, columns_of(tmp_path / "m.yaml")) == (0, ("Account ID",))
    assert ("it has no heading" in text, text.count("columns have this heading")) == (True, 2)
    assert importer("check", source, "-m", tmp_path / "m.yaml").exit == 0


def test_any_heading_is_written_so_that_it_is_found_again(importer: Importer, tmp_path: Path) -> None:
    """Colons, quotes, hashes, braces, line breaks, other scripts: YAML has a rule for each."""
    headings = [
        "a: b",
        "# c",
        '"d"',
        "{e}",
        "- f",
        "परिणाम",
        "g\nh",
        "no",
        "12",
        "'i",
        "&j",
        "%k",
        "l\\m",
        " n ",
    ]
    quoted = ",".join('"{}"'.format(each.replace('"', '""')) for each in headings)
    rows = [f"{each}{',yes' * len(headings)}" for each in ACCOUNTS[:4]]
    source = _csv(tmp_path, f"Account ID,{quoted}", *rows)
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")

    assert columns_of(tmp_path / "m.yaml") == ("Account ID", *(each.strip() for each in headings))
    assert importer("check", source, "-m", tmp_path / "m.yaml").exit == 0


def test_a_comment_needs_no_more_than_its_mark_taken_away(importer: Importer, tmp_path: Path) -> None:
    """Every unguessed column stands there ready, with a schema name of its own."""
    source = _csv(tmp_path, "Account ID,City,Street: no.", *(f"{each},a b c,d e" for each in ACCOUNTS[:3]))
    mapping = tmp_path / "m.yaml"
    importer("init", source, "-o", mapping, "--event", "1")
    text = mapping.read_text(encoding="utf-8")
    for mark in ("# Fields:", "  # mx_Custom_1", "  # mx_Custom_2"):
        text = text.replace(mark, mark.replace("# ", ""))
    mapping.write_text(text, encoding="utf-8")

    assert columns_of(mapping) == ("Account ID", "City", "Street: no.")


def test_a_wide_sheet(importer: Importer, tmp_path: Path) -> None:
    """Hundreds of columns, every one present."""
    headings = [f"Measure {number}" for number in range(300)]
    source = _csv(
        tmp_path, ",".join(["Account ID", *headings]), *(each + ",1" * 300 for each in ACCOUNTS[:3])
    )
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")

    assert len(columns_of(tmp_path / "m.yaml")) == 301
    assert importer("check", source, "-m", tmp_path / "m.yaml").exit == 0


def test_a_long_sheet_is_not_read_to_its_end(importer: Importer, tmp_path: Path) -> None:
    """The file says how many rows the guesses rest on."""
    source = _csv(tmp_path, "Account ID,Done", *[f"{ACCOUNTS[0]},yes"] * 25_000)
    result = importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1", "--json")

    assert result.json["rows"] == 20_000
    assert "the first 20,000 rows" in (tmp_path / "m.yaml").read_text(encoding="utf-8")


def test_a_sheet_without_rows_or_without_accounts(importer: Importer, tmp_path: Path) -> None:
    """The headings alone say something; what they do not say is a line to fill in."""
    empty = _csv(tmp_path, "Account ID,Outcome", name="empty.csv")
    without = _csv(tmp_path, "Outcome,Amount", "Won,1", "Lost,2", name="without.csv")
    found = [
        importer("init", source, "-o", f"{source}.yaml", "--event", "1", "--json").json["fill_in"]
        for source in (empty, without)
    ]

    assert [[each["key"] for each in fill_in] for fill_in in found] == [[], ["RelatedCompanyId"]]


def test_what_one_column_shows_counts_for_the_others(importer: Importer, tmp_path: Path) -> None:
    """Whoever wrote 07/31 in one column wrote the month first in the next."""
    source = _csv(
        tmp_path,
        "Account ID,Visit,Next",
        *(f"{each},07/31/2026,0{at + 1}/08/2026" for at, each in enumerate(ACCOUNTS[:5])),
    )
    importer("init", source, "-o", tmp_path / "m.yaml", "--event", "1")

    assert (tmp_path / "m.yaml").read_text(encoding="utf-8").count("%m/%d/%Y") == 2


def test_a_sheet_without_headings_is_warned_of(importer: Importer, tmp_path: Path) -> None:
    """Its first row would be lost without a word."""
    source = _csv(tmp_path, f"{ACCOUNTS[0]},12", f"{ACCOUNTS[1]},13")
    result = importer("init", source, "-o", tmp_path / "m.yaml", "--quiet")

    assert (result.exit, "row 1 was used for them" in result.stderr) == (0, True)


def test_a_results_file_is_no_source(importer: Importer, tmp_path: Path) -> None:
    """It belongs to a batch already."""
    source = _csv(tmp_path, f"{','.join(OURS)},Account ID", f"2,created,,,,1,,b,{ACCOUNTS[0]}")
    result = importer("init", source, "-o", tmp_path / "m.yaml")

    assert (result.exit, "importer resume" in result.stderr) == (2, True)


def test_the_schema_is_named_where_it_lies(importer: Importer, tmp_path: Path) -> None:
    """Otherwise the file says how to get it."""
    source = _visits(tmp_path)
    importer("init", source, "-o", tmp_path / "without.yaml", "--event", "1")
    (tmp_path / "mapping.schema.json").write_text("{}", encoding="utf-8")
    importer("init", source, "-o", tmp_path / "with.yaml", "--event", "1")

    first = [
        (tmp_path / name).read_text(encoding="utf-8").splitlines()[0]
        for name in ("without.yaml", "with.yaml")
    ]
    assert first[1] == "# yaml-language-server: $schema=mapping.schema.json"
    assert "importer schema" in first[0]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are for POSIX")
@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("10002\n", "ActivityEvent: 10002"),
        ("visit\n10003\n", "ActivityEvent: 10003"),
        ("\n", "ActivityEvent:"),
    ],
)
def test_at_a_terminal_the_code_is_asked_for(home: Path, tmp_path: Path, typed: str, value: str) -> None:
    """What is no code is asked for again; Enter leaves the line to be filled in."""
    import pty

    source, mapping = _visits(tmp_path), tmp_path / "visits.yaml"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        importer_command("init", source, "-o", mapping),
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env=child_environment(),
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        code = process.wait(timeout=60)
    os.close(ours)

    assert (code, value in mapping.read_text(encoding="utf-8").splitlines()) == (0, True)


def test_a_decimal_mark_that_one_column_shows_holds_for_the_others(
    importer: Importer, tmp_path: Path
) -> None:
    """3,000 in a German sheet is three, as 1.234,50 beside it shows; it remains a guess."""
    source, mapping = tmp_path / "v.csv", tmp_path / "m.yaml"
    rows = "".join(f"{account};1.234,50;3,000\n" for account in ACCOUNTS[:3])
    source.write_text(f"Account ID;Umsatz;Menge\n{rows}", encoding="utf-8")
    made = importer("init", source, "-o", mapping, "--event", "1")

    assert '{column: Menge, type: integer, decimal: ","}' in mapping.read_text(encoding="utf-8")
    assert 'Whether "3,000" has decimals or thousands cannot be seen' in " ".join(made.stdout.split())


def test_numbers_in_a_column_of_dates_are_doubtful(importer: Importer, tmp_path: Path) -> None:
    """Excel's day counts and seconds since 1970; and an account that others could be as well."""
    source, mapping = tmp_path / "v.csv", tmp_path / "m.yaml"
    rows = "".join(f"{ACCOUNTS[at]},{ACCOUNTS[at + 3]},{46234 + at},{1785486933 + at}\n" for at in range(3))
    source.write_text(f"Appointment,Regarding,Visit date,Timestamp\n{rows}", encoding="utf-8")
    said = " ".join(importer("init", source, "-o", mapping, "--event", "1").stdout.split())

    assert '"46234" is the number under which Excel keeps 31 July 2026' in said
    assert '"1785486933" is a count of seconds since 1970' in said
    assert 'So do others ("Regarding"): is it the right one?' in said
