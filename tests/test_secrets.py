"""The keys appear in no file, message, URL or process list, whatever happens."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant, StartTenant, child_environment, importer_command
from visits import write_csv, write_mapping

from importer.app.run import RunPreparation

pytestmark = pytest.mark.security

ACCESS = "u$rACCESSKEYOFTHETEST0123456789"
SECRET = "secretkeyofthetest9876543210abcdef"


@pytest.fixture
def keyed(start_tenant: StartTenant) -> RunningTenant:
    """A tenant with keys that can be searched for."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    return start_tenant(access_key=ACCESS, secret_key=SECRET)


def expect_no_keys(home: Path, *results: Result) -> None:
    """Neither in anything that was written, nor in anything that was said."""
    files = [file for folder in (home, Path.cwd()) for file in folder.rglob("*") if file.is_file()]
    found = [
        str(file) for file in files if any(key.encode() in file.read_bytes() for key in (ACCESS, SECRET))
    ]
    for result in results:
        found += [text for text in (result.stdout, result.stderr) if ACCESS in text or SECRET in text]
    assert found == []


def test_they_are_in_nothing_that_a_whole_session_leaves(
    importer: Importer, keyed: RunningTenant, home: Path
) -> None:
    results = [
        importer("whoami", "--verbose"),
        importer("check", "visits.csv", "-m", "visits.yaml", "--verbose"),
        importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "1", "--verbose"),
        importer("resume", "visits.results.csv", "--yes", "--verbose", "--json"),
        importer("status", "visits.results.csv", "--verbose"),
        importer("status", "--json"),
    ]
    assert [result.exit for result in results] == [0, 0, 3, 0, 0, 0]
    expect_no_keys(home, *results)


REFUSAL = {
    "Status": "Error",
    "ExceptionType": "MXInvalidInputException",
    "ExceptionMessage": f"Not with {ACCESS} and {SECRET}",
}
FAULTS: dict[str, dict[str, object]] = {
    "revoked": {"do": "revoke", "on": "create"},
    "echoed where the keys are refused": {
        "do": "revoke", "on": "any", "message": f"Not with {ACCESS} and {SECRET}",
    },
    "redirect": {"do": "redirect", "on": "create", "to": "http://127.0.0.1:1/login"},
    "echoed as a host's name": {"do": "redirect", "on": "any", "to": f"https://{SECRET}.example.com/{ACCESS}"},
    "echoed by a proxy": {
        "do": "answer", "on": "create", "status": 404, "text": f"You sent {ACCESS} and {SECRET}",
    },
    "echoed in a refusal": {"do": "refuse", "message": f"Invalid key {SECRET}"},
    "echoed in a refusal with escapes": {
        "do": "answer", "on": "create", "status": 400, "text": json.dumps(REFUSAL).replace("$", "\\u0024"),
    },
    "echoed in a refusal, letter by letter": {
        "do": "answer", "on": "create", "status": 400,
        "text": json.dumps(REFUSAL).replace(SECRET, "".join(f"\\u{ord(char):04x}" for char in SECRET)),
    },
    "html": {"do": "answer", "on": "any", "body": "html"},
    "not http": {"do": "answer", "on": "any", "body": "not-http"},
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_they_are_in_no_error_even_if_the_other_side_repeats_them(
    importer: Importer, keyed: RunningTenant, home: Path, name: str
) -> None:
    keyed.set_faults({"faults": [FAULTS[name]]})
    options = ("--verbose", "--max-outage", "1", "--settle", "0.1", "--timeout", "1")
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json", *options)
    assert result.exit in {1, 2, 3}, result.stderr
    expect_no_keys(home, result)


def test_they_are_in_no_error_of_an_unreachable_tenant(
    importer: Importer, keyed: RunningTenant, home: Path
) -> None:
    keyed.stop()
    expect_no_keys(home, importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--verbose"))


def test_they_are_in_no_error_about_settings(
    importer: Importer, keyed: RunningTenant, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSQUARED_ACCESS_KEY", f"{ACCESS} with blanks")
    monkeypatch.setenv("LEADSQUARED_HOST", f"https://{SECRET}@example.com/path")
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--verbose")
    assert result.exit == 2
    expect_no_keys(home, result)


def test_they_travel_in_headers_and_not_in_the_url(
    importer: Importer, keyed: RunningTenant, home: Path
) -> None:
    """A tenant that refuses keys in the query still takes every call of ours."""
    keyed.set_faults({"tenant": {"query_keys": "refused"}})
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, result.json["created"]) == (0, 3)


def test_they_are_in_no_traceback(
    importer: Importer, keyed: RunningTenant, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something that should not happen, with the settings at hand."""

    def fault(preparation: RunPreparation) -> object:
        keys = preparation.session.settings.keys
        raise RuntimeError(f"{vars(preparation)!r} {keys.access.get_secret_value()} {keys.secret!r}")

    monkeypatch.setattr(RunPreparation, "begin", fault)
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--verbose", "--json")
    assert (result.exit, result.json["error_code"]) == (2, "unexpected")
    expect_no_keys(home, result)
    assert visits.left_behind(home) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")
def test_they_are_in_no_argument_of_any_process(keyed: RunningTenant, home: Path) -> None:
    process = subprocess.Popen(
        importer_command("run", "visits.csv", "-m", "visits.yaml", "--yes", "--rate", "2/1"),
        env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seen: list[bytes] = []
    while process.poll() is None:
        seen += [file.read_bytes() for file in _command_lines(process.pid)]
        time.sleep(0.02)
    assert process.returncode == 0
    assert len(seen) > 10
    assert not any(key.encode() in line for line in seen for key in (ACCESS, SECRET))


def _command_lines(pid: int) -> list[Path]:
    """Of the process and its children, if it has any."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [path for each in (pid, *children) if (path := Path(f"/proc/{each}/cmdline")).exists()]
