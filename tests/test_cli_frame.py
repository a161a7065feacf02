"""The frame that every command stands in: help, wrong command lines, `--json`, and how a command ends."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import visits
from conftest import Importer, child_environment, importer_command

from importer.cli import main
from importer.cli.console import Console
from importer.errors import MappingError, SheetError, StoreError

HEAVY = "pandas aiohttp openpyxl keyring jinja2 xlsxwriter rapidfuzz numpy rich alembic psycopg"


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Console], int]], None]:
    """Registers a function as the command `probe`."""

    def register(function: Callable[[Console], int]) -> None:
        def probe(console: Console) -> int:
            return function(console)

        module = ModuleType("importer.cli.probe")
        module.probe = probe  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(main.COMMANDS, "probe", "A command of the test's own.")

    return register


def _raises(error: BaseException, *, sending: bool = False) -> Callable[[Console], int]:
    def command(console: Console) -> int:
        console.sending = sending
        raise error

    return command


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(importer: Importer, flag: str) -> None:
    """`importer --help` and `-h` list all commands and end with 0."""
    result = importer(flag)

    listed = re.findall(r"^  ([a-z]+)  ", result.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert (result.exit, sorted(listed)) == (0, sorted(main.COMMANDS))


@pytest.mark.parametrize("command", sorted(main.COMMANDS))
def test_every_command_has_help_with_examples_in_80_columns(importer: Importer, command: str) -> None:
    """`importer COMMAND -h` shows what the command takes, and examples; no line is wider than 80 columns."""
    result = importer(command, "-h")

    shown = result.stdout
    assert result.exit == 0
    assert all(option in shown for option in ("--json", "--quiet", "--verbose"))
    assert f"importer {command}" in shown.partition("Example")[2]
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_no_command_at_all_shows_the_help_and_ends_as_a_wrong_command_line(importer: Importer) -> None:
    """`importer` alone did nothing: exit code 2, and the help to go on with."""
    result = importer()

    assert (result.exit, "Commands:" in result.stdout) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schma"], "There is no command schma. Did you mean schema? See `importer --help`."),
        (["schema", "--jsn"], "There is no option --jsn. Did you mean --json? See `importer schema --help`."),
        (["--verbos"], "There is no option --verbos. Did you mean --verbose? See `importer --help`."),
        (["--quiet"], "Missing command. See `importer --help`."),
        (
            ["check", "a.csv", "-m", "b.yaml", "--hidden", "maybe"],
            "--hidden: 'maybe' is not one of 'include', 'skip'. See `importer check --help`.",
        ),
    ],
)
def test_a_wrong_command_line_names_the_nearest_right_one(
    importer: Importer, arguments: list[str], message: str
) -> None:
    """A wrong option or command ends with 2 and one sentence on stderr."""
    result = importer(*arguments)

    assert (result.exit, result.stdout, result.stderr) == (2, "", f"Error: {message}\n")


def test_a_wrong_command_line_with_json_is_answered_in_json(importer: Importer) -> None:
    """`--json` counts even when the rest of the command line cannot be parsed."""
    result = importer("schema", "--nonsense", "--json")

    assert set(result.json) == {"error", "error_code", "exit"}
    assert result.json["exit"] == result.exit == 2


def test_the_schema_is_one_json_object_with_json_too(importer: Importer) -> None:
    """What the command prints is JSON already."""
    assert importer("schema", "--json").json == importer("schema").json


@pytest.mark.parametrize("arguments", [["--json", "probe"], ["probe", "--json"]])
def test_json_goes_before_or_after_the_command(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None], arguments: list[str]
) -> None:
    """The common options are understood on either side; the one object carries the exit code."""

    def command(console: Console) -> int:
        console.say("on the way")
        console.result("12 rows", {"rows": 12})
        return 1

    probe(command)
    result = importer(*arguments)

    assert (result.json, result.exit) == ({"rows": 12, "exit": 1}, 1)
    assert result.stderr == "on the way\n"


def test_quiet_leaves_results_warnings_and_errors(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None]
) -> None:
    """`--quiet` takes away what is said on the way only."""

    def command(console: Console) -> int:
        console.say("on the way")
        console.warn("look at this")
        console.result("12 rows", {"rows": 12})
        raise SheetError("It is empty.", where="a.csv", remedy="Fill it.")

    probe(command)
    result = importer("probe", "--quiet")

    assert (result.exit, result.stdout) == (2, "12 rows\n")
    assert result.stderr == "Warning: look at this\nError: a.csv: It is empty. Fill it.\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            MappingError("Two keys are alike.", where="m.yaml, line 3"),
            2,
            "m.yaml, line 3: Two keys are alike.",
        ),
        (StoreError("The disk refused."), 3, "The disk refused."),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 2, "/x/y: The disk is full."),
        (PermissionError(errno.EACCES, "denied", "/x/y"), 2, "/x/y: You may not read or write that."),
        (MemoryError(), 2, "not enough free memory"),
        (ExceptionGroup("two", [ValueError("a"), SheetError("It is empty.")]), 2, "It is empty."),
        (ZeroDivisionError("a bug"), 2, "Unexpected error (ZeroDivisionError)."),
    ],
)
def test_what_ended_a_command_decides_the_exit_code(
    importer: Importer,
    probe: Callable[[Callable[[Console], int]], None],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    """Each branch of the error tree, Ctrl-C, the system's refusals and bugs have their exit code."""
    probe(_raises(error))
    result = importer("probe", "--json")

    assert (result.exit, result.json["exit"]) == (code, code)
    assert words in result.json["error"]
    assert "Traceback" not in result.stdout + result.stderr


def test_an_unexpected_error_after_sending_began_is_never_exit_2(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None]
) -> None:
    """Exit code 2 promises that nothing was sent; with a batch under way a bug ends with 3."""
    probe(_raises(ZeroDivisionError("a bug"), sending=True))
    result = importer("probe")

    assert (result.exit, "importer resume" in result.stderr) == (3, True)


def test_ctrl_c_while_a_class_is_made_is_no_bug(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None]
) -> None:
    """Python 3.11 makes a RuntimeError of it; and ends by the signal, if a text was executed just then."""
    wrapped = RuntimeError("Error calling __set_name__")
    wrapped.__cause__ = KeyboardInterrupt()
    probe(_raises(wrapped))
    assert importer("probe").exit == 130

    done = _child(
        "from contextlib import suppress\nfrom importer.cli import main\n"
        "with suppress(KeyboardInterrupt):\n    exec('raise KeyboardInterrupt')\n"
        "main.run = lambda arguments: 130\nmain.main()\n"
    )
    assert done.returncode == 130


def test_the_traceback_of_a_bug_goes_to_the_log(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None], home: Path
) -> None:
    """The person gets a sentence, support gets the traceback."""
    probe(_raises(ZeroDivisionError("a bug")))
    result = importer("probe")

    log = home / "logs" / "importer.log"
    assert str(log) in result.stderr
    assert "ZeroDivisionError: a bug" in log.read_text(encoding="utf-8")


def test_words_of_strangers_cannot_steer_the_terminal(
    importer: Importer, probe: Callable[[Callable[[Console], int]], None]
) -> None:
    """Escape sequences and direction marks from a cell are shown, not obeyed."""
    probe(_raises(SheetError("The cell holds '\x1b[2J\u202egpj.exe'.")))
    result = importer("probe")

    assert result.stderr == "Error: The cell holds '\\x1b[2J\\u202egpj.exe'.\n"


def _child(code: str, *, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60, env=child_environment(env)
    )


def _loaded(arguments: list[str]) -> str:
    """The exit code of a command, and what it loaded of what takes long to load."""
    code = (
        "import sys\nfrom importer.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"print(code, *sorted(set({HEAVY!r}.split()) & set(sys.modules)), file=sys.stderr)"
    )
    return _child(code).stderr.decode().splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--nonsense"], ["nonsense"]])
def test_help_and_wrong_command_lines_import_nothing_heavy(home: Path, arguments: list[str]) -> None:
    """A start-up under 200 ms leaves no room for pandas and its like."""
    assert _loaded(arguments) in {"0", "2"}


def test_check_imports_nothing_that_only_sending_needs(home: Path) -> None:
    """Nor what a team's store, a marked copy or a starter mapping needs: all that takes longer to load than a
    small sheet to check."""
    visits.write_csv(Path("visits.csv"), [visits.visit(1)])
    visits.write_mapping(Path("visits.yaml"))

    assert _loaded(["check", "visits.csv", "-m", "visits.yaml", "--json"]) == "0"


def test_a_terminal_that_lacks_a_character_gets_a_question_mark(home: Path) -> None:
    """On cp1252 a name in Devanagari cannot be shown, and must not end the command."""
    code = (
        "from importer.cli.console import CommandEnd, Console\n"
        "console = Console()\nconsole.show('नाम é')\nconsole.finish(CommandEnd(0))\n"
        "console = Console(as_json=True)\nconsole.result('', {'name': 'नाम é'})\n"
        "console.finish(CommandEnd(0))"
    )
    done = _child(code, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"})

    shown, whole = done.stdout.splitlines()
    assert (shown, json.loads(whole)["name"], done.stderr) == (b"??? \xe9", "नाम é", b"")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_no_command_ends_at_a_character_that_the_terminal_lacks(home: Path, encoding: str) -> None:
    """Names and values in other scripts, on the code pages of Windows."""
    rows = [visits.visit(1, remarks="नाम ₹ 5 → é"), visits.visit(2, "Wön")]
    visits.write_csv(Path("vïsits.csv"), rows)
    visits.write_mapping(Path("visits.yaml"))
    endings = []
    for arguments in (
        ["check", "vïsits.csv", "-m", "visits.yaml"],
        ["run", "vïsits.csv", "-m", "visits.yaml", "--sandbox", "--skip-invalid", "--settle", "0"],
        ["status", "vïsits.sandbox.results.csv"],
    ):
        environment = child_environment({"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
        done = subprocess.run(
            importer_command(*arguments), capture_output=True, env=environment, check=False, timeout=120
        )
        endings.append((done.returncode, b"Traceback" in done.stderr, b"Unexpected error" in done.stderr))
    assert endings == [(1, False, False), (1, False, False), (0, False, False)]


def test_a_reader_that_goes_away_does_not_end_the_command(home: Path) -> None:
    """`importer check … | head -1`: the command runs to its end without a traceback."""
    code = (
        "import sys\nfrom importer.cli.console import CommandEnd, Console\nconsole = Console()\n"
        "for _ in range(20_000): console.show('x' * 80)\n"
        "console.say('to the end')\nconsole.finish(CommandEnd(0))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()

    assert (said, child.wait(timeout=60)) == (b"to the end\n", 0)


def test_shell_completion_offers_the_commands(home: Path) -> None:
    """What bash, zsh, fish and PowerShell ask at a Tab is answered."""
    done = subprocess.run(
        [sys.executable, "-c", "from importer.cli.main import main; main()"],
        env=child_environment(
            {"_IMPORTER_COMPLETE": "complete_bash", "COMP_WORDS": "importer sch", "COMP_CWORD": "1"}
        ),
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.stdout.split() == [b"schema"]
