"""What a person can get wrong before anything is sent: exit 2, nothing sent, nothing left, and a message that
says what, where and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant, StartTenant
from visits import write_csv, write_mapping, write_xlsx


@pytest.fixture
def mapping(home: Path) -> Path:
    return write_mapping(Path("visits.yaml"))


@pytest.fixture
def sheet(home: Path) -> Path:
    return write_csv(Path("visits.csv"), visits.visits(3))


def refused(result: Result, home: Path, *said: str) -> None:
    """The whole promise of exit code 2."""
    told = result.json
    assert (result.exit, told["exit"]) == (2, 2), result.stderr
    assert set(told) - {"problems", "questions", "notices"} == {"error", "error_code", "exit"}
    assert visits.left_behind(home) == []
    assert [word for word in said if word.casefold() not in told["error"].casefold()] == [], told["error"]
    assert told["error"].splitlines()[0] in result.stderr
    assert "Traceback" not in result.stderr
    assert "Unexpected error" not in told["error"]


def _folder() -> Path:
    Path("folder.csv").mkdir()
    return Path("folder.csv")


def _bytes(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


SOURCES: dict[str, tuple[Callable[[], Path], tuple[str, ...]]] = {
    "no file": (lambda: Path("nowhere.csv"), ("nowhere.csv",)),
    "a folder": (_folder, ("folder.csv", "folder")),
    "empty": (lambda: _bytes("empty.csv", b""), ("empty.csv", "empty")),
    "empty workbook": (lambda: _bytes("empty.xlsx", b""), ("empty.xlsx",)),
    "header only": (lambda: write_csv(Path("header.csv"), []), ("header.csv", "no rows")),
    "header only workbook": (lambda: write_xlsx(Path("header.xlsx"), []), ("header.xlsx", "no rows")),
    "unknown extension": (lambda: _bytes("visits.pdf", b"%PDF-1.7\n"), ("visits.pdf",)),
    "no workbook inside": (lambda: _bytes("visits.xlsx", b"PK\x03\x04 cut off"), ("visits.xlsx",)),
    "wrong encoding": (
        lambda: _bytes("cp1252.csv", "Account,Outcome,Remarks\na,Won,Lefèvre\n".encode("cp1252")),
        ("cp1252.csv", "--encoding", "Lefèvre"),
    ),
    "unclosed quote": (
        lambda: _bytes("quote.csv", b'Account,Outcome,Remarks\na,Won,"never closed\nb,Won,x\n'),
        ("quote.csv",),
    ),
}


@pytest.mark.parametrize("case", SOURCES)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_source_that_cannot_be_read(
    *, importer: Importer, tenant: RunningTenant, home: Path, mapping: Path, case: str, command: str
) -> None:
    make, said = SOURCES[case]
    options = ["--yes"] if command == "run" else []
    refused(importer(command, make(), "-m", mapping, *options, "--json"), home, *said)
    assert tenant.calls == []


def test_a_sheet_that_is_not_there(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_xlsx(Path("visits.xlsx"), visits.visits(2))
    result = importer("run", sheet, "-m", mapping, "--sheet", "Vists", "--yes", "--json")
    refused(result, home, "Vists", "Sheet")


MAPPINGS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "no file": (None, ("visits.yaml",)),
    "no YAML": ("name: [Visit\n", ("visits.yaml", "line")),
    "empty": ("", ("visits.yaml",)),
    "column missing": (
        visits.MAPPING.replace("column: Outcome", "column: Outcom"),
        ("Outcom", "Outcome"),
    ),
    "unknown key": (f"{visits.MAPPING}RelatedCompanyID: x\n", ("RelatedCompanyID", "RelatedCompanyId")),
    "no account": ("ActivityEvent: 10001\n", ("RelatedCompanyId",)),
}


@pytest.mark.parametrize("command", ["run", "check", "init"])
def test_a_sheets_name_for_a_text_file(
    *, importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path, command: str
) -> None:
    """It has no sheets: who names one means another file."""
    options = {
        "run": ("-m", mapping, "--yes"),
        "check": ("-m", mapping),
        "init": ("-o", "new.yaml", "--event", "10001"),
    }
    result = importer(command, sheet, *options[command], "--sheet", "Visits", "--json")
    refused(result, home, "visits.csv", "no sheets", "leave out --sheet")
    assert (result.json["error_code"], tenant.calls, Path("new.yaml").exists()) == ("usage", [], False)


@pytest.mark.parametrize(("option", "given"), [("--encoding", "cp1252"), ("--delimiter", "semicolon")])
@pytest.mark.parametrize("command", ["run", "check", "init"])
def test_an_encoding_or_a_delimiter_for_a_workbook(
    *, importer: Importer, tenant: RunningTenant, home: Path, mapping: Path, command: str, option: str,
    given: str,
) -> None:  # fmt: skip
    """It has neither: who gives one means another file."""
    sheet = write_xlsx(Path("visits.xlsx"), visits.visits(2))
    options = {
        "run": ("-m", mapping, "--yes"),
        "check": ("-m", mapping),
        "init": ("-o", "new.yaml", "--event", "10001"),
    }
    result = importer(command, sheet, *options[command], option, given, "--json")
    refused(result, home, "visits.xlsx", f"no {option[2:]}", f"leave out {option}")
    assert (result.json["error_code"], tenant.calls, Path("new.yaml").exists()) == ("usage", [], False)


def test_a_mapping_may_be_used_for_a_text_file_and_for_a_workbook(
    importer: Importer, home: Path, sheet: Path
) -> None:
    """The same form is exported once as a workbook and once as CSV."""
    how = "sheet: Sheet\nencoding: utf-8\ndelimiter: ','\n"
    mapping = write_mapping(Path("visits.yaml"), how + visits.MAPPING)
    workbook = write_xlsx(Path("visits.xlsx"), visits.visits(2))
    assert [importer("check", each, "-m", mapping).exit for each in (sheet, workbook)] == [0, 0]


@pytest.mark.parametrize("command", ["check", "init"])
def test_a_host_that_is_not_asked(
    *, importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path, command: str
) -> None:
    """Without --online it would have no effect."""
    given = {"check": ("-m", mapping), "init": ("-o", "new.yaml", "--event", "10001")}[command]
    result = importer(command, sheet, *given, "--host", tenant.url, "--json")
    refused(result, home, "--host is for --online", "leave out --host")
    assert (result.json["error_code"], tenant.calls, Path("new.yaml").exists()) == ("usage", [], False)


@pytest.mark.parametrize("command", ["run", "check", "resume", "verify", "correct", "whoami"])
def test_a_host_beside_the_sandbox(
    *, importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path, command: str
) -> None:
    """Nobody knows which of the two was meant."""
    options: dict[str, tuple[str | Path, ...]] = {
        "run": (sheet, "-m", mapping),
        "check": (sheet, "-m", mapping),
        "whoami": (),
    }
    given = options.get(command, (sheet,))
    result = importer(command, *given, "--sandbox", "--host", tenant.url, "--json")
    refused(result, home, "--host and --sandbox exclude each other", "leave out --host")
    assert (result.json["error_code"], tenant.calls) == ("usage", [])


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--limit", "0", "0 is not between 1 and 10,000,000."),
        ("--limit", "1.5", "'1.5' is not a whole number."),
        ("--timeout", "0", "0 is not between 0.1 and 3,600 seconds."),
        ("--timeout", "a minute", "'a minute' is not a number of seconds."),
        ("--max-outage", "1e9", "1e9 is not between 0 and 604,800 seconds."),
    ],
)
def test_a_number_that_an_option_does_not_take(
    *, importer: Importer, home: Path, sheet: Path, option: str, given: str, said: str
) -> None:
    """What it takes is said in full."""
    result = importer("run", sheet, "-m", "visits.yaml", option, given, "--json")
    refused(result, home, f"{option}: {said}")
    assert result.json["error_code"] == "usage"


@pytest.mark.parametrize("case", MAPPINGS)
def test_a_mapping_that_cannot_be_used(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, case: str
) -> None:
    text, said = MAPPINGS[case]
    if text is not None:
        write_mapping(Path("visits.yaml"), text)
    refused(importer("run", sheet, "-m", "visits.yaml", "--yes", "--json"), home, *said)
    assert tenant.calls == []


def test_every_missing_key_is_named_at_once(
    importer: Importer, home: Path, sheet: Path, mapping: Path
) -> None:
    names = ("LEADSQUARED_HOST", "LEADSQUARED_ACCESS_KEY", "LEADSQUARED_SECRET_KEY")
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), home, *names, "--sandbox")


def test_wrong_keys(
    *,
    importer: Importer,
    tenant: RunningTenant,
    home: Path,
    sheet: Path,
    mapping: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEADSQUARED_SECRET_KEY", "not-the-one")
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), home, "keys")
    assert tenant.creates == []


def test_a_tenant_that_cannot_be_reached(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    tenant.stop()
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), home, "127.0.0.1")


def test_a_host_that_is_not_leadsquared(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "answer", "on": "any", "body": "html"}]})
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), home)
    assert tenant.creates == []


def test_the_host_of_another_region_is_refused_and_the_right_one_named(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    tenant.set_faults({"tenant": {"right_host": "api-us11.leadsquared.com"}})
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), home, "api-us11.leadsquared.com")
    assert tenant.creates == []


def test_plain_http_to_a_remote_host(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    host = "http://api-in21.leadsquared.com"
    result = importer("run", sheet, "-m", mapping, "--yes", "--json", "--host", host)
    refused(result, home, "http://", "https://api-in21.leadsquared.com")


@pytest.mark.parametrize("rate", ["25", "fast", "0/5", "25/0", "-1/5", "25/5/5", "1e999/1", "nan/5"])
@pytest.mark.parametrize("said_by", ["flag", "environment"])
def test_a_rate_that_is_none(
    *,
    importer: Importer,
    tenant: RunningTenant,
    home: Path,
    sheet: Path,
    mapping: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: str,
    said_by: str,
) -> None:
    options = [f"--rate={rate}"]
    if said_by == "environment":
        monkeypatch.setenv("LEADSQUARED_RATE", rate)
        options = []
    result = importer("run", sheet, "-m", mapping, "--yes", "--json", *options)
    refused(result, home, "LEADSQUARED_RATE" if said_by == "environment" else "--rate")
    assert tenant.calls == []


@pytest.mark.parametrize(
    "options", [("--workers", "0"), ("--limit", "0"), ("--timeout", "-1"), ("--frobnicate",)]
)
def test_options_out_of_range(
    *,
    importer: Importer,
    tenant: RunningTenant,
    home: Path,
    sheet: Path,
    mapping: Path,
    options: tuple[str, ...],
) -> None:
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json", *options), home, options[0])


def test_invalid_rows_without_leave_to_skip_them(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), [*visits.visits(2), visits.visit(3, "Wno")])
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    refused(result, home, "1 row is invalid", "--skip-invalid")
    assert "Wno" in result.stderr
    assert tenant.calls == []


def test_no_valid_row(importer: Importer, tenant: RunningTenant, home: Path, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), [visits.visit(3, "Wno")])
    result = importer("run", sheet, "-m", mapping, "--yes", "--skip-invalid", "--json")
    refused(result, home, "no row is valid")


def test_a_results_path_without_a_folder(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    result = importer("run", sheet, "-m", mapping, "--yes", "--json", "--results", "no/such/out.csv")
    refused(result, home, "--results")


def test_results_in_the_place_of_the_sheet_itself(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    before = sheet.read_bytes()
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json", "--results", sheet), home, "--results")
    assert sheet.read_bytes() == before


@pytest.mark.parametrize("command", ["resume", "status"])
def test_a_results_file_that_is_none_of_ours(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, command: str
) -> None:
    refused(importer(command, sheet, "--json"), home, "visits.csv", "results file")


@pytest.mark.parametrize("command", ["resume", "status"])
def test_a_batch_that_nobody_knows(importer: Importer, home: Path, command: str) -> None:
    refused(importer(command, "b20260731-053350-abcdef", "--json"), home, "b20260731-053350-abcdef")


def test_a_home_that_is_a_file(
    *,
    importer: Importer,
    tenant: RunningTenant,
    sheet: Path,
    mapping: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("occupied").write_text("", encoding="utf-8")
    monkeypatch.setenv("IMPORTER_HOME", str(tmp_path / "work" / "occupied"))
    refused(importer("run", sheet, "-m", mapping, "--yes", "--json"), tmp_path / "home", "IMPORTER_HOME")
    assert tenant.creates == []


def test_without_a_terminal_nothing_is_sent_unless_yes_is_said(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, mapping: Path
) -> None:
    refused(importer("run", sheet, "-m", mapping, "--json"), home, "--yes")
    assert tenant.creates == []


def test_a_tenant_without_leave_to_read_is_told_and_sent_to(
    importer: Importer, start_tenant: StartTenant, sheet: Path, mapping: Path
) -> None:
    """Not bad input, but the person should know it before they say yes."""
    tenant = start_tenant()
    tenant.set_faults({"tenant": {"reads": "refused"}})
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert (result.exit, result.json["created"]) == (0, 3)
    assert "may not read" in result.stderr


def test_the_error_is_one_object_also_for_a_command_line_that_does_not_parse(importer: Importer) -> None:
    result = importer("run", "--json")
    assert result.exit == 2
    assert set(json.loads(result.stdout)) == {"error", "error_code", "exit"}
