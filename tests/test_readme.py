"""README says what the code does: its tables are made from it, its names exist, its options are all there."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import Importer
from readme_made import (
    COMMON,
    MADE,
    commands,
    quoted_words,
    readme,
    rows_of,
    section,
    with_tables,
    write_readme,
)

import importer as package

ROOT = Path(__file__).parents[1]
PACKAGE = Path(package.__file__).parent


def test_the_tables_are_those_of_the_code() -> None:
    """`IMPORTER_README=write pytest tests/test_readme.py` writes them anew."""
    text = readme()
    expected = with_tables(text)
    if os.environ.get("IMPORTER_README") == "write" and text != expected:
        write_readme(expected)
        text = readme()

    assert text == expected


def test_each_table_that_is_made_is_in_readme() -> None:
    """None was lost while editing."""
    assert set(re.findall(r"<!-- made: ([\w-]+) -->", readme())) == set(MADE)


def test_no_placeholder_is_left() -> None:
    """What an author meant to fill in."""
    found = re.findall(r"^(?:[A-Z]{4,}|.*\b(?:TODO|TBD|FIXME)\b.*)$", readme(), re.MULTILINE)
    assert found == []


def _spelt_options() -> Iterator[tuple[str, str]]:
    for name, command in commands().items():
        for parameter in command.params:
            for spelling in parameter.opts:
                if spelling.startswith("-"):
                    yield name, spelling


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_of_a_command_is_in_readme(name: str) -> None:
    """As `--help` spells it; those that every command has stand in the text."""
    told = quoted_words(section("## Commands and options"))

    missing = {spelling for command, spelling in _spelt_options() if command == name} - told
    assert missing == set()


def test_every_option_of_the_whole_program_is_in_readme() -> None:
    """`importer --help` has some of its own."""
    from importer.cli.main import parser

    told = section("## Commands and options")
    missing = [
        opt
        for parameter in parser().params
        for opt in parameter.opts
        if opt.startswith("-") and opt not in told
    ]
    assert missing == []


def test_options_that_readme_names_exist() -> None:
    """Elsewhere in README nobody is sent to an option that was renamed."""
    known = {spelling for _, spelling in _spelt_options()} | set(COMMON)
    known |= {"--version", "--install-completion", "--show-completion"}
    foreign = {"--no-deps", "--write"}

    named = {
        word
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", readme())
        for word in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)
    }
    assert named - known - foreign == set()


def test_links_lead_somewhere() -> None:
    """Files exist, and headings too."""
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", readme(), re.MULTILINE)
    }
    targets = re.findall(r"\]\(([^)\s]+)\)", readme())
    lost = [
        target
        for target in targets
        if not target.startswith("https://")
        and not (target[1:] in headings if target.startswith("#") else (ROOT / target).exists())
    ]
    assert lost == []


def test_files_that_readme_names_exist() -> None:
    """Samples, mappings and tests as paths in the text and in commands."""
    named = set(re.findall(r"(?<![\w/.])((?:samples|mappings|tests|importer|\.ci)/[\w./-]*\w)", readme()))
    made = {"samples/visits.sandbox.results.csv"}

    lost = {
        path
        for path in named - made
        if not (ROOT / path).exists() and not re.search(r"\.(results|verified|report)\.", path)
    }
    assert lost == set()


def test_the_first_two_sh_blocks_are_the_two_commands() -> None:
    """One line each, to be pasted as they are; the first blocks of README. Windows has its own."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)
    one, two = [text for kind, text in blocks if kind == "sh"][:2]
    windows = [text for kind, text in blocks if kind == "powershell"]

    assert [kind for kind, _ in blocks][:2] == ["sh", "sh"]
    assert (one.count("\n"), two.count("\n"), len(windows)) == (1, 1, 2)
    assert (
        "importer run samples/visits.csv" in one,
        two.rstrip().endswith("/pytest -q -n 4 --dist worksteal"),
    ) == (
        True,
        True,
    )


def test_the_tests_run_against_what_is_installed() -> None:
    """README's second command installs the package: the source tree must not stand in for it.

    An installation for development (`pip install -e`) is the source tree, and says so itself.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution("importer").read_text("direct_url.json") or ""
    except PackageNotFoundError:
        pytest.skip("the package is not installed: this is a run from the source tree")
    if '"editable": true' in installed or '"editable":true' in installed:
        pytest.skip("installed for development")

    assert not PACKAGE.is_relative_to(ROOT) or PACKAGE.is_relative_to(ROOT / ".venv")


def _project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def test_every_dependency_says_what_it_is_for() -> None:
    """Those of pyproject.toml, each with one line."""
    table = section("## For developers").split("| dependency |")[1]
    told = [cells[0].strip("`") for cells in rows_of("| dependency |" + table)]

    assert told == [re.split(r"[><=;\[ ]", each)[0] for each in _project()["dependencies"]]


def test_every_module_has_its_place_in_the_tour() -> None:
    """The next developer finds each file of `importer/` in one line of the table, and none that is gone."""
    table = section("## For developers").split("| in `importer/` |")[1].split("| dependency |")[0]
    patterns = [pattern for cells in rows_of("| in |" + table) for pattern in quoted_words(cells[0])]
    there = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in sorted(PACKAGE.iterdir())
        if (path.suffix == ".py" and not path.name.startswith("__")) or (path / "__init__.py").is_file()
    ]

    without_place = [name for name in there if sum(fnmatchcase(name, each) for each in patterns) != 1]
    gone = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in there)]
    assert (without_place, gone) == ([], [])


def test_the_columns_of_the_results_file_are_all_explained() -> None:
    """In their order."""
    from importer.results.results_reader import COLUMNS

    told = [cells[0].strip("`") for cells in rows_of(section("## What can happen to a row"))]
    assert [name for name in told if name.startswith("import_")] == list(COLUMNS)


def test_every_status_is_explained() -> None:
    """Each word that `import_status` can hold."""
    from importer.store.records import RowStatus

    told = [cells[0].strip("`") for cells in rows_of(section("## What can happen to a row"))]
    assert {name for name in told if not name.startswith("import_")} == {status.shown for status in RowStatus}


def test_the_columns_and_verdicts_of_the_read_back_are_all_explained() -> None:
    """Those of the .verified.csv."""
    from importer.results.results_writer import VERIFIED_COLUMNS
    from importer.verification.readings import ReadingVerdict as Verdict

    rows = rows_of(section("## Read back and report"))
    told = [name for cells in rows for name in re.findall(r"`(\w+)`", cells[0])]
    verdicts = next(quoted_words(cells[1]) for cells in rows if cells[0] == "`verdict`")
    assert (told, verdicts) == (list(VERIFIED_COLUMNS), {str(verdict) for verdict in Verdict})


def test_every_word_that_resume_takes_is_explained() -> None:
    """On the rows on which it counts."""
    from importer.results.edits import ACCEPTED

    told = {
        (status, re.findall(r"to `(\w+)`", change)[0])
        for change, on, _ in (cells[:3] for cells in rows_of(section("## Resume")))
        if change.startswith("`import_status`")
        for status in quoted_words(on)
    }
    assert told == set(ACCEPTED)


def test_every_type_of_value_is_explained() -> None:
    """Those that a mapping may name, in their order."""
    from importer.mapping.model import FieldSpec

    known = next(
        get_args(part) for part in get_args(FieldSpec.model_fields["type"].annotation) if get_args(part)
    )
    told = [cells[0].strip("`") for cells in rows_of(section("### Types").split("- **Numbers.**")[0])]
    assert told == list(known)


def test_every_variable_of_the_environment_is_explained() -> None:
    """Those of the settings, and the home."""
    from importer.app.stores import STORE_VARIABLE
    from importer.cli.notify import NOTIFY_VARIABLE
    from importer.home import VARIABLE
    from importer.settings import Environment

    told = [cells[0].strip("`") for cells in rows_of(section("### Environment"))]
    own = [VARIABLE, STORE_VARIABLE, NOTIFY_VARIABLE]
    assert told == [f"LEADSQUARED_{name.upper()}" for name in Environment.model_fields] + own


def test_the_exit_codes_are_those_of_the_code() -> None:
    """Every code that a command can end with has its line."""
    from importer.cli import main
    from importer.errors import UserError, WorkError

    told = [int(cells[0]) for cells in rows_of(section("### Exit codes"))]
    known = [0, 1, main.EXIT_USAGE, main.EXIT_STOPPED, main.EXIT_INTERRUPTED]
    assert (told, UserError.exit_code, WorkError.exit_code) == (known, 2, 3)


def _told_keys(command: str) -> set[str]:
    cells = next(cells for cells in rows_of(section("### JSON")) if command in cells[0])
    return quoted_words(cells[1])


def test_the_json_keys_of_a_batch_are_all_explained(importer: Importer) -> None:
    """What `run`, `status` and `check` print is what README lists."""
    source, mapping = ROOT / "samples" / "visits.csv", ROOT / "mappings" / "visits.yaml"
    run = importer(
        "run", source, "-m", mapping, "--sandbox", "--limit", "1", "--results", Path.cwd(), "--json"
    ).json
    status = importer("status", str(run["batch"]), "--json").json
    check = importer("check", source, "-m", mapping, "--json").json

    batch = _told_keys("`resume`")
    counts = {
        "rows",
        "created",
        "failed",
        "invalid",
        "uncertain",
        "pending",
        "skipped",
        "already",
        "throttled",
        "seconds",
    }
    assert set(run) - {"error"} == batch
    assert set(status) == counts | _told_keys("`status RESULTS`") - {"run"}
    assert set(check) == _told_keys("`check`")


def test_the_json_keys_of_what_comes_before_and_after_are_all_explained(importer: Importer) -> None:
    """What `init`, `verify` and `report` print is what README lists."""
    source, mapping = ROOT / "samples" / "visits.csv", ROOT / "mappings" / "visits.yaml"
    init = importer("init", source, "-o", "new.yaml", "--event", "10001", "--json").json
    run = importer(
        "run", source, "-m", mapping, "--sandbox", "--limit", "1", "--results", Path.cwd(), "--json"
    ).json
    verify = importer("verify", str(run["batch"]), "--sandbox", "--json").json
    report = importer("report", str(run["batch"]), "--sandbox", "--json").json

    counts = {"created", "failed", "invalid", "uncertain", "pending", "skipped"}
    assert set(init) == _told_keys("`init`")
    assert set(verify) == _told_keys("`verify`")
    assert set(report) == _told_keys("`report`") | counts


def test_the_json_keys_of_whoami_are_all_explained(importer: Importer) -> None:
    """What `whoami` prints is what README lists."""
    assert set(importer("whoami", "--sandbox", "--json").json) == _told_keys("`whoami`")


def test_the_pre_commit_hooks_run_what_ci_runs() -> None:
    """Lint, format, types and import contracts, in the versions of the environment: nothing is fetched."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    tools = ["ruff check", "ruff format", "mypy", "lint-imports"]
    assert [tool for tool in tools if tool not in hooks or f".venv/bin/{tool}" not in ci] == []
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]


def test_the_example_of_a_mapping_fits_the_sample(importer: Importer, tmp_path: Path) -> None:
    """It can be copied as it stands: every row of the sample is valid with it."""
    example = re.findall(r"^```yaml\n(.*?)^```$", section("## Mapping"), re.MULTILINE | re.DOTALL)[0]
    mapping = tmp_path / "example.yaml"
    mapping.write_text(example, encoding="utf-8")

    assert importer("check", ROOT / "samples" / "visits.csv", "-m", mapping).exit == 0


@pytest.mark.parametrize("cell", ["1250.50", "1,250.50", "12,50,000", "1 250", "-3", "1e5"])
def test_the_examples_of_numbers_are_numbers(cell: str) -> None:
    """Those that README's table of types shows."""
    from importer.mapping.values import NumberValue

    told = next(cells[1] for cells in rows_of(section("### Types")) if cells[0] == "`number`")
    assert cell in quoted_words(told)
    assert isinstance(NumberValue().read(cell), str)
    assert NumberValue().read("1,250.50") == "1250.50"
