"""Each scenario through the use cases themselves and through the command line: the same questions, the same
end.

A scenario is answered in advance (options), at the plan (as a form or a script does), or on the command line.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
import visits
from conftest import Importer, RunningTenant
from visits import batches_in, write_csv, write_mapping, write_xlsx

from importer import app
from importer.app.options import Hidden
from importer.app.sheet_questions import ImportedBeforeError
from importer.errors import ImporterError, ResultsError
from importer.pacing.rules import Rate

ALL = app.Answers({"invalid": "skip", "overlap": "only-new", "hidden": "skip", "send": "send"})
WAYS = ("options", "answers", "command line")


@pytest.fixture(autouse=True)
def mapping(home: Path) -> Path:
    return write_mapping(Path("visits.yaml"))


def options(path: Path, /, **others: object) -> app.RunOptions:
    return replace(app.RunOptions(sheet=app.SheetInput(path=path), mapping=Path("visits.yaml")), **others)  # type: ignore[arg-type]


async def by_answers(asked: app.RunOptions, answers: app.Answers) -> tuple[int, list[str]]:
    """The exit code, and the questions in the order in which they came."""
    seen: list[str] = []
    with app.open_store() as store:
        try:
            plan = await app.prepare_run(asked, store)
            while plan.questions:
                keys = [question.key for question in plan.questions]
                seen += keys
                plan = await app.answer(plan, app.Answers({key: answers.given[key] for key in keys}))
            result = await app.start(plan)
        except ImporterError as error:
            return error.exit_code, seen
        return result.exit_code, seen


async def by_options(asked: app.RunOptions) -> int:
    with app.open_store() as store:
        try:
            plan = await app.prepare_run(asked, store)
            return (await app.start(plan)).exit_code
        except ImporterError as error:
            return error.exit_code


class Run(Protocol):
    """Runs a sheet; the exit code."""

    def __call__(self, sheet: Path, *flags: str, hidden: Hidden | None = None, **given: bool) -> int:
        """flags: for the command line. The rest: the same as options."""


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest, importer: Importer) -> Run:
    """In one of three ways."""

    def go(sheet: Path, *flags: str, hidden: Hidden | None = None, **given: bool) -> int:
        if request.param == "command line":
            return importer("run", sheet, "-m", "visits.yaml", "--yes", *flags).exit
        if request.param == "options":
            sheet_input = app.SheetInput(path=sheet, hidden=hidden)
            return asyncio.run(by_options(options(sheet, yes=True, sheet=sheet_input, **given)))
        code, _ = asyncio.run(by_answers(options(sheet), ALL))
        return code

    return go


def test_invalid_rows_are_left_out_when_a_person_says_so(run: Run, tenant: RunningTenant) -> None:
    sheet = write_csv(Path("visits.csv"), [*visits.visits(2), visits.visit(3, "Wno")])
    assert run(sheet, "--skip-invalid", skip_invalid=True) == 1
    assert len(tenant.creates) == 2


def test_only_new_rows_are_sent_when_a_person_says_so(
    run: Run, tenant: RunningTenant, importer: Importer
) -> None:
    importer("run", write_csv(Path("a.csv"), visits.visits(2)), "-m", "visits.yaml", "--yes")
    sheet = write_csv(Path("b.csv"), visits.visits(5))
    assert run(sheet, "--only-new", only_new=True) == 0
    assert len(tenant.creates) == 5


def test_hidden_rows_are_left_out_when_a_person_says_so(run: Run, tenant: RunningTenant) -> None:
    sheet = write_xlsx(Path("visits.xlsx"), visits.visits(4), hidden=[3, 4])
    assert run(sheet, "--hidden", "skip", hidden="skip") == 0
    assert len(tenant.creates) == 2


def test_the_same_sheet_is_refused_in_every_way(
    run: Run, tenant: RunningTenant, importer: Importer, home: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", sheet, "-m", "visits.yaml", "--yes")
    assert run(sheet) == 2
    assert (len(tenant.creates), len(batches_in(home))) == (2, 1)


async def test_questions_come_together_as_far_as_the_sheet_alone_can_tell(tenant: RunningTenant) -> None:
    rows = [*visits.visits(3), visits.visit(9, "Wno")]
    sheet = write_xlsx(Path("visits.xlsx"), rows, hidden=[3])
    code, seen = await by_answers(options(sheet), ALL)
    assert (code, seen) == (1, ["hidden", "invalid", "send"])


async def test_no_sends_nothing_and_leaves_nothing(tenant: RunningTenant, home: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    with app.open_store() as store:
        plan = await app.prepare_run(options(sheet), store)
        assert [question.key for question in plan.questions] == ["send"]
        with pytest.raises(app.DeclinedError):
            await app.start(plan, app.Answers({"send": "stop"}))
    assert (tenant.creates, visits.left_behind(home)) == ([], [])


async def test_a_plan_that_is_discarded_leaves_nothing(tenant: RunningTenant, home: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    with app.open_store() as store:
        plan = await app.prepare_run(options(sheet), store)
        assert plan.facts is not None
        assert (plan.facts.to_send, plan.facts.events) == (2, ((10001, 2),))
        await app.discard(plan)
        await app.discard(plan)
    assert (tenant.creates, visits.left_behind(home)) == ([], [])


async def test_of_two_plans_for_one_sheet_the_second_is_refused_when_it_starts(tenant: RunningTenant) -> None:
    """Both were asked about before either of them began."""
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    with app.open_store() as store:
        one = await app.prepare_run(options(sheet), store)
        two = await app.prepare_run(options(sheet, sheet=app.SheetInput(path=sheet)), store)
        assert (await app.start(one, app.Answers({"send": "send"}))).exit_code == 0
        with pytest.raises(ImportedBeforeError):
            await app.start(two, app.Answers({"send": "send"}))
    assert len(tenant.creates) == 3


async def test_cells_corrected_on_the_screen_are_what_is_sent(tenant: RunningTenant) -> None:
    sheet = write_csv(Path("visits.csv"), [visits.visit(1, "Wno"), visits.visit(2)])
    cells = {(2, 1): "Lost"}
    asked = options(sheet, sheet=app.SheetInput(path=sheet, cells=cells), yes=True)
    with app.open_store() as store:
        report = await app.check(app.CheckOptions(sheet=asked.sheet, mapping=asked.mapping), store)
        assert (report.valid, report.invalid) == (2, 0)
        result = await app.start(await app.prepare_run(asked, store))
    assert result.counts["created"] == 2
    assert sorted(one.fields["mx_Custom_1"] for one in tenant.activities) == ["Lost", "Won"]
    assert "Wno" in sheet.read_text(encoding="utf-8")


async def test_a_run_is_stopped_in_good_order_and_resumed_from_a_script(tenant: RunningTenant) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(30))
    stop = app.StopHandle()

    class Watcher(app.Silent):
        def progress(self, progress: app.Progress) -> None:
            if progress.stage is app.Stage.SENDING and progress.done:
                stop.request()

    with app.open_store() as store:
        slow = app.CallOptions(rate=Rate(20, 1.0), workers=1)
        plan = await app.prepare_run(options(sheet, yes=True, calls=slow), store, Watcher())
        stopped = await app.start(plan, stop=stop)
        assert (stopped.exit_code, stopped.stop_code) == (130, "interrupted")
        assert 0 < stopped.counts["created"] < 30
        again = app.ResumeOptions(results=stopped.batch, yes=True)
        result = await app.start(await app.prepare_resume(again, store))
    assert (result.exit_code, result.counts["created"], len(tenant.creates)) == (0, 30, 30)


async def test_a_batch_is_changed_from_the_screen(tenant: RunningTenant) -> None:
    sheet = write_csv(Path("visits.csv"), [visits.visit(1), visits.visit(2, "Wno"), visits.visit(3, "Wno")])
    with app.open_store() as store:
        first = await app.start(await app.prepare_run(options(sheet, yes=True, skip_invalid=True), store))
        changes = app.ScreenChanges(cells={(3, 1): "Open"}, statuses={4: "skipped"})
        asked = app.ResumeOptions(results=first.batch, changes=changes, yes=True)
        plan = await app.prepare_resume(asked, store)
        assert plan.changes == ("Changed: row 3, Outcome: 'Wno' → 'Open'",)
        result = await app.start(plan)
    assert result.exit_code == 0
    assert (result.counts["created"], result.counts["skipped"]) == (2, 1)


@pytest.fixture
async def begun_elsewhere(tenant: RunningTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results file of a batch of two rows, of which another computer has sent the first."""
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    first = app.SendingOptions(limit=1, settle_s=0)
    with app.open_store() as store:
        stopped = await app.start(await app.prepare_run(options(sheet, yes=True, sending=first), store))
    monkeypatch.setenv("IMPORTER_HOME", str(tmp_path / "this computer"))
    return stopped.results


async def test_a_rebuilt_batch_that_is_declined_is_not_left_behind(begun_elsewhere: Path) -> None:
    """Whoever answers no, or discards the plan, has a store as it was."""
    asked = app.ResumeOptions(results=str(begun_elsewhere), mapping=Path("visits.yaml"))
    with app.open_store() as store:
        plan = await app.prepare_resume(asked, store)
        await app.discard(plan)
        again = await app.prepare_resume(asked, store)
        with pytest.raises(app.DeclinedError):
            await app.answer(again, app.Answers({"send": "stop"}))

        assert (plan.batch, app.list_batches(store)) == (again.batch, ())


def _write_status(results: Path, word: str) -> None:
    """What a person makes of the pending rows."""
    results.write_bytes(results.read_bytes().replace(b"pending", word.encode()))


@pytest.mark.parametrize("word", ["pending", "skipped"])
async def test_a_rebuilt_batch_does_not_send_what_another_batch_created(
    begun_elsewhere: Path, tenant: RunningTenant, word: str
) -> None:
    """The rest of a sheet was imported here as a sheet of its own; also where a row was skipped and is taken
    back. Nothing is sent, and the store is as it was."""
    _write_status(begun_elsewhere, word)
    rest = write_csv(Path("rest.csv"), visits.visits(2)[1:])
    at_once = app.SendingOptions(settle_s=0)
    with app.open_store() as store:
        done = await app.start(await app.prepare_run(options(rest, yes=True, sending=at_once), store))
        asked = app.ResumeOptions(
            results=str(begun_elsewhere), mapping=Path("visits.yaml"), yes=True,
            changes=app.ScreenChanges(statuses={3: "pending"} if word == "skipped" else {}),
        )  # fmt: skip
        with pytest.raises(ResultsError, match="belongs to another batch by now"):
            await app.start(await app.prepare_resume(asked, store))

        assert [one.batch for one in app.list_batches(store)] == [done.batch]
    assert len(tenant.creates) == 2


async def test_a_data_frame_is_checked_and_sent(tenant: RunningTenant) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([dict(zip(visits.HEADER, row, strict=True)) for row in visits.visits(3)])
    sheet = app.save_frame(frame, Path("visits.csv"))
    with app.open_store() as store:
        report = await app.check(app.CheckOptions(sheet=sheet, mapping=Path("visits.yaml")), store)
        assert (report.exit_code, report.valid) == (0, 3)
        result = await app.start(await app.prepare_run(options(sheet.path, yes=True), store))
    assert (result.exit_code, result.counts["created"]) == (0, 3)


def test_check_knows_what_was_imported_before(importer: Importer, tenant: RunningTenant) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    batch = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json").json["batch"]
    (whole,) = importer("check", sheet, "-m", "visits.yaml", "--json").json["imported_before"]
    assert (whole["batch"], whole["source"], whole["rows"], whole["whole"]) == (batch, "visits.csv", 3, True)
    more = write_csv(Path("more.csv"), visits.visits(5))
    result = importer("check", more, "-m", "visits.yaml")
    assert f"3 rows of this sheet are in an earlier batch: {batch}" in " ".join(result.stdout.split())
    assert result.exit == 0
