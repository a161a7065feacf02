"""The screen in a real Chromium: every step of an import, as a person goes through them.

Pictures of each step are kept in the folder that SCREEN_PICTURES names (in CI: an artefact).
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import keyring
import pytest
from conftest import Importer, RunningTenant, StartTenant
from memory_keyring import MemoryKeyring
from screen import RunningScreen
from stores import postgres_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-{:012d}"
SAMPLES = Path(__file__).parents[1] / "samples"
MAPPINGS = Path(__file__).parents[1] / "mappings"
PATIENCE_MS = 180_000
MAPPING = """\
RelatedCompanyId: Account   # the account's Id
ActivityEvent: 10001
Fields:
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open]}   # closed list
  mx_Custom_2: {column: Amount, type: number, decimal: "."}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


class Person:
    """Somebody with the screen open in a browser. heard: everything on the browser's console, and each
    address that was asked for elsewhere."""

    def __init__(self, browser: Browser, screen: RunningScreen) -> None:
        self.screen = screen
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        self.heard: list[str] = []
        self.page = self.window()
        self.page.goto(screen.address)

    def window(self) -> Page:
        """One more window of the same browser."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self.heard.append(message.text))
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on("dialog", lambda dialog: self.heard.append(dialog.message))
        ours = f"http://127.0.0.1:{self.screen.port}/"
        page.on(
            "request",
            lambda request: None if request.url.startswith(ours) else self.heard.append(request.url),
        )
        return page

    def upload(self, path: Path) -> None:
        """Choose a file, and go on with the sheet as it is found."""
        self.page.get_by_role("link", name="New import").click()
        self.page.wait_for_url("**/new")
        self.page.get_by_label("Spreadsheet").set_input_files(path)
        self.page.wait_for_url("**/sheet")
        self.page.get_by_role("button", name="Continue").click()
        self.page.wait_for_url("**/mapping")

    def load_mapping(self, path: Path) -> None:
        """Load a mapping file, and wait until it is there."""
        self.page.get_by_label("Load mapping").set_input_files(path)
        self.page.get_by_text("The mapping was loaded.").wait_for()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def check(self) -> None:
        """From Mapping to Check, and wait for the counts."""
        self.press("Check")
        self.page.wait_for_url("**/check")
        self.page.get_by_text(re.compile(r"[\d,]+ valid, [\d,]+ invalid")).wait_for()

    def correct_cell(self, name: str, text: str) -> None:
        """Type into a bad cell, save, and wait for the page that answers."""
        cell = self.page.get_by_label(name, exact=True)
        cell.fill(text)
        with self.page.expect_navigation():
            self.page.locator("form", has=cell).get_by_role("button", name="Save").click()

    def to_send(self) -> None:
        """From Check to Send, and wait until it is prepared."""
        self.press("Continue")
        self.page.wait_for_url("**/send")
        self.page.get_by_role("button", name=re.compile(r"^Send [\d,]+ rows?$")).wait_for()

    def until_send(self, sheet: Path, mapping: Path) -> None:
        """A sheet and its mapping, from the start to Send."""
        self.upload(sheet)
        self.load_mapping(mapping)
        self.check()
        self.to_send()

    def send_all(self) -> None:
        """Send, asked once more, to the end."""
        self.page.get_by_role("button", name=re.compile(r"^Send [\d,]+ rows?$")).click()
        self.press("Yes, send")
        self.page.wait_for_url("**/results")

    def stop(self, tenant: RunningTenant) -> None:
        """Stop a run whose calls the tenant holds back, and wait until it has ended."""
        self.page.get_by_text(re.compile(r"[1-9]\d* created")).wait_for()
        self.press("Stop")
        self.page.get_by_text("Stopping: waiting for the calls under way.").wait_for()
        tenant.set_faults({})
        tenant.ask(lambda sandbox: sandbox.release())
        self.page.get_by_role("button", name="Resume").wait_for()

    def picture(self, name: str) -> None:
        """Keep a picture, if somebody wants them."""
        folder = os.environ.get("SCREEN_PICTURES")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    @property
    def said(self) -> str:
        """The page's text, runs of blanks as one."""
        return " ".join(self.page.locator("main").inner_text().split())


@pytest.fixture
def person(home: Path, browser: Browser) -> Iterator[Person]:
    """A first visit: no keys, no imports."""
    with RunningScreen(home) as screen:
        yield from _at(browser, screen)


@pytest.fixture
def rehearsing(home: Path, browser: Browser) -> Iterator[Person]:
    """The same with the rehearsal switched on."""
    with RunningScreen(home, rehearsal=True) as screen:
        yield from _at(browser, screen)


@pytest.fixture
def with_keys(tenant: RunningTenant, browser: Browser, home: Path) -> Iterator[Person]:
    """A person whose keys are in the environment, on a quick tenant."""
    with RunningScreen(home) as screen:
        yield from _at(browser, screen)


def _at(browser: Browser, screen: RunningScreen) -> Iterator[Person]:
    found = Person(browser, screen)
    yield found
    found.context.close()
    assert found.heard == []


def _sheet(folder: Path, rows: int, name: str = "visits.csv", outcome: str = "Won") -> Path:
    """A sheet with rows 2 to `rows` + 1."""
    lines = [f"{ACCOUNT.format(row)},{outcome},{row}" for row in range(rows)]
    path = folder / name
    path.write_text("\n".join(["Account,Outcome,Amount", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """A mapping for `_sheet`."""
    path = tmp_path / "visits.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def test_from_drop_to_verified_activities_on_the_rehearsal(person: Person) -> None:
    """A first visit: one click on the sample, and on to activities that were read back."""
    person.picture("01-first-visit")
    person.press("Rehearse with a sample sheet")
    person.page.wait_for_url("**/mapping")
    assert person.page.get_by_role("switch", name="Rehearsal").is_checked()
    person.picture("02-mapping")
    person.check()
    assert "40 valid, 0 invalid" in person.said
    person.picture("03-check")
    person.to_send()
    person.picture("04-send")
    person.press("Try 3 rows")
    person.page.get_by_text("3 of 3 rows equal").wait_for()
    assert person.page.url.endswith("/send")
    person.picture("05-tried")
    person.page.get_by_role("button", name="Send 37 rows").click()
    person.picture("06-asked-once-more")
    person.press("Yes, send")
    person.page.wait_for_url("**/progress")
    person.page.get_by_role("progressbar").wait_for()
    person.picture("07-progress")
    person.page.wait_for_url("**/results")
    assert "40 created" in person.said
    person.press("Read back")
    person.page.get_by_text("40 of 40 rows equal").wait_for()
    assert person.page.url.endswith("/results")
    person.picture("08-results")


@pytest.mark.parametrize("where", ["rehearsal", "tenant"])
def test_a_workbook_of_a_new_user_becomes_verified_activities(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Title rows, account codes, owners' e-mail addresses, date and time in two columns, a total, three bad
    cells: from drop to 40 activities that were read back, with what the screen says alone."""
    person: Person = request.getfixturevalue("rehearsing" if where == "rehearsal" else "with_keys")
    page = person.page
    person.upload(_field_visits(tmp_path))
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.locator("#preview").get_by_text("2026-07-01 09:15:00").wait_for()
    assert page.get_by_text("Part of mx_Custom_1, under Constants and templates.").count() == 2
    person.check()
    person.correct_cell("Visit Date, row 15", "2026-07-12")
    person.correct_cell("Amount, row 22", "118.50")
    page.get_by_text("41 valid, 0 invalid").wait_for()
    person.press("Continue")
    page.wait_for_url("**/send")
    page.get_by_text("The row looks like a total.").wait_for()
    person.correct_cell("Visited by, row 7", "asha.rao@example.com")
    page.get_by_label("Visited by, row 7").wait_for(state="detached")
    page.get_by_role("radio", name="Send the other rows").check()
    person.press("Continue")
    person.press("Try 3 rows")
    page.get_by_text("3 of 3 rows equal").wait_for()
    page.get_by_role("button", name="Send 37 rows").wait_for()
    if where == "rehearsal":  # all of its rows: the sample above
        return
    person.send_all()
    person.press("Read back")
    page.get_by_text("40 of 40 rows equal").wait_for()

    assert len(request.getfixturevalue("tenant").activities) == 40


def _field_visits(folder: Path) -> Path:
    """Two title rows, headings in row 3, 40 rows of which three have a bad cell, and a total in row 44."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Field visits, July 2026"])
    sheet.append(["Prepared by Asha Rao"])
    sheet.append(["Account Code", "Visited by", "Visit Date", "Time In", "Outcome", "Amount", "Remarks"])
    owners = ("asha.rao@example.com", "mei.lin@example.com", "vikram.singh@example.com")
    for number in range(40):
        code = f"ACC-{(1, 2, 3, 5, 6, 8, 9, 10, 11, 12)[number % 10]:04}"
        day, hour = dt.date(2026, 7, 1 + number % 28), dt.time(9 + number % 8, 15)
        outcome = ("Won", "Lost", "Open")[number % 3]
        sheet.append([code, owners[number % 3], day, hour, outcome, 100.5 + number, f"Visit {number + 1}"])
    sheet["B7"], sheet["C15"], sheet["F22"] = "asha.rao(at)example.com", "soon", "n/a"
    sheet.append(["Total", None, None, None, None, 4801, None])
    path = folder / "field visits.xlsx"
    book.save(path)
    return path


def test_bad_cells_are_corrected_in_place(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """In the import's copy: the person's file stays, and the rows go out with what was typed."""
    sheet = _sheet(tmp_path, 4)
    sheet.write_text(sheet.read_text().replace("Won,1", "Wno,1").replace("Won,2", "Won,x"), encoding="utf-8")
    before = sheet.read_bytes()
    rehearsing.upload(sheet)
    rehearsing.load_mapping(mapping)
    rehearsing.check()
    assert "2 valid, 2 invalid" in rehearsing.said
    assert "B3" in rehearsing.said
    cell = rehearsing.page.get_by_label("Outcome, row 3", exact=True)
    cell.fill("Lost")
    rehearsing.page.locator("form", has=cell).get_by_role("button", name="Save").click()
    rehearsing.page.get_by_text("3 valid, 1 invalid").wait_for()
    rehearsing.page.get_by_label("Leave out 1 invalid row").check()
    rehearsing.to_send()
    rehearsing.send_all()

    assert "3 created" in rehearsing.said
    assert "1 invalid" in rehearsing.said
    assert rehearsing.page.get_by_label("Outcome, row 3", exact=True).input_value() == "Lost"
    assert sheet.read_bytes() == before


def test_what_was_typed_is_kept_without_save_in_each_row(
    rehearsing: Person, tmp_path: Path, mapping: Path
) -> None:
    """Whatever leads on, a button or a link, saves the other cells of the page first."""
    sheet = _sheet(tmp_path, 5)
    text = sheet.read_text()
    for number in range(1, 5):
        text = text.replace(f"Won,{number}", f"Won,x{number}")
    sheet.write_text(text, encoding="utf-8")
    rehearsing.upload(sheet)
    rehearsing.load_mapping(mapping)
    rehearsing.check()
    page = rehearsing.page
    page.get_by_label("Amount, row 3", exact=True).fill("3")
    rehearsing.correct_cell("Amount, row 4", "4")
    page.get_by_text("3 valid, 2 invalid").wait_for()
    page.get_by_label("Amount, row 5", exact=True).fill("5")
    page.get_by_label("Leave out 2 invalid rows").check()
    rehearsing.to_send()
    rehearsing.send_all()
    page.get_by_label("Amount, row 6", exact=True).fill("6")
    page.get_by_role("link", name="1 invalid").click()
    page.get_by_text("1 row changed here").wait_for()
    page.get_by_label("Outcome, row 6", exact=True).fill("Lost")
    rehearsing.press("Resume")
    page.get_by_text("5 created").wait_for()
    page.wait_for_url("**/results")
    typed = [page.get_by_label(f"Amount, row {row}", exact=True).input_value() for row in range(2, 7)]

    assert typed == ["0", "3", "4", "5", "6"]
    assert page.get_by_label("Outcome, row 6", exact=True).input_value() == "Lost"
    assert rehearsing.heard == []


def test_invalid_rows_need_a_decision(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """Continue says so, and stays."""
    rehearsing.upload(_sheet(tmp_path, 2, outcome="Wno"))
    rehearsing.load_mapping(mapping)
    rehearsing.check()
    rehearsing.press("Continue")
    rehearsing.page.get_by_text("Correct the invalid rows, or choose to leave them out.").wait_for()

    assert rehearsing.page.url.endswith("/check")


def test_a_loaded_mapping_comes_back_byte_for_byte(rehearsing: Person) -> None:
    """Comments, order and all, also after the form was sent unchanged."""
    rehearsing.upload(SAMPLES / "visits.csv")
    rehearsing.load_mapping(MAPPINGS / "visits.yaml")
    rehearsing.check()
    rehearsing.page.go_back()

    with rehearsing.page.expect_download() as download:
        rehearsing.press("Download mapping")

    assert download.value.suggested_filename == "visits.yaml"
    assert Path(download.value.path()).read_bytes() == (MAPPINGS / "visits.yaml").read_bytes()


def test_the_form_changes_the_mapping_as_one_types(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """The preview follows, each date shows what becomes of it, and mistakes are at their own line."""
    rehearsing.upload(SAMPLES / "visits.csv")
    page = rehearsing.page
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.locator("#preview").get_by_text("10001").first.wait_for()
    page.get_by_label("Time zone of Visit date").fill("Asia/Kolkata")
    page.get_by_text("31/07/2026 10:30 → 2026-07-31 05:00:00 UTC").wait_for()
    page.get_by_label("Time zone of Visit date").fill("Asia/Kolkatta")
    line = page.get_by_role("group", name="Visit date")
    line.get_by_text("Asia/Kolkatta").wait_for()
    page.get_by_label("Time zone of Visit date").fill("Asia/Kolkata")
    line.get_by_text("Asia/Kolkatta").wait_for(state="detached")
    page.get_by_label("Send Account as", exact=True).select_option(label="Field")
    page.get_by_label("Field for Account", exact=True).fill("mx_Custom_9")
    page.locator("#preview").get_by_text("mx_Custom_9").first.wait_for()
    page.reload()

    assert page.get_by_label("Field for Account", exact=True).input_value() == "mx_Custom_9"
    rehearsing.check()
    assert "40 valid, 0 invalid" in rehearsing.said


def test_a_constant_and_a_template_are_lines_of_their_own(rehearsing: Person) -> None:
    """What comes from no column is added below, and sent."""
    rehearsing.upload(SAMPLES / "visits.csv")
    page = rehearsing.page
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.get_by_label("Content of extra line 1").fill("Active")
    page.get_by_label("Send extra line 1 as").select_option(label="Field")
    page.get_by_label("Field for extra line 1").fill("Status")
    page.locator("#preview").get_by_text("Status").first.wait_for()
    page.reload()
    page.get_by_label("Send Remarks as", exact=True).select_option(label="Not sent")
    page.get_by_label("What extra line 2 holds").select_option(label="A text with columns in braces")
    page.get_by_label("Content of extra line 2").fill("{Outcome}: {Remarks}")
    page.get_by_label("Send extra line 2 as").select_option(label="Note")
    page.locator("#preview").get_by_text("Won: Met the owner; wants a second demo.").wait_for()
    page.get_by_role("link", name="As text").click()

    text = page.get_by_label("Mapping as text (YAML)").input_value()
    assert "Status: {value: Active}" in text
    assert 'ActivityNote: {template: "{Outcome}: {Remarks}"}' in text


def test_a_look_up_is_tried_from_the_form(rehearsing: Person) -> None:
    """The first values of the column are asked for, and each says whether it was found."""
    rehearsing.upload(SAMPLES / "visits.csv")
    page = rehearsing.page
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.locator("#preview").get_by_text("10001").first.wait_for()
    page.get_by_role("button", name="Try the look-up of Visited by").click()

    page.get_by_text("asha.rao@example.com: found").wait_for()


def test_the_text_tab_names_mistakes_by_line(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """And keeps what was typed, mistakes and all."""
    rehearsing.upload(_sheet(tmp_path, 2))
    rehearsing.load_mapping(mapping)
    rehearsing.page.get_by_role("link", name="As text").click()
    box = rehearsing.page.get_by_label("Mapping as text (YAML)")
    box.fill(MAPPING.replace("type: number", "type: nummer"))
    rehearsing.press("Save text")

    rehearsing.page.get_by_text(re.compile(r"Line 5: Fields → mx_Custom_2 → type")).wait_for()
    assert "nummer" in box.input_value()


def test_a_workbook_with_several_sheets_and_title_rows(rehearsing: Person, tmp_path: Path) -> None:
    """The sheet is chosen by name, and the row of the headings is found."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    book.active.append(["Nothing here"])
    visits = book.create_sheet("Visits")
    for row in (["Visits of July"], [], ["Account", "Outcome", "Amount"], [ACCOUNT.format(1), "Won", 5]):
        visits.append(row)
    path = tmp_path / "visits.xlsx"
    book.save(path)
    page = rehearsing.page
    page.get_by_label("Spreadsheet").set_input_files(path)
    page.wait_for_url("**/sheet")
    page.get_by_label("Sheet", exact=True).select_option("Visits")
    page.get_by_label("Header row").fill("3")
    page.get_by_role("columnheader", name="Outcome").wait_for()
    rehearsing.press("Continue")
    page.wait_for_url("**/mapping")

    assert page.get_by_label("Send Outcome as").is_visible()


@pytest.mark.parametrize(
    "attack", ["<img src=x onerror=alert(1)>", "'\"><script>alert(1)</script>", "\u202egnp.exe"]
)
def test_hostile_cells_stay_text(rehearsing: Person, tmp_path: Path, attack: str) -> None:
    """As a heading, as a cell, as the file's name: on every page, nothing runs."""
    quoted = attack.replace('"', '""')
    path = tmp_path / "hostile.csv"
    path.write_text(f'Account,"{quoted}"\n{ACCOUNT.format(1)},"{quoted}"\n', encoding="utf-8")
    rehearsing.upload(path)
    page = rehearsing.page
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.locator("#preview").get_by_text("10001").first.wait_for()
    rehearsing.check()
    rehearsing.to_send()
    rehearsing.send_all()
    page.get_by_role("link", name="Imports").click()
    page.get_by_role("link", name="hostile.csv").wait_for()

    assert page.locator("main img, main script").count() == 0


def test_every_page_is_the_answer_to_a_get(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """Reload and Back at every step neither ask nor send."""
    rehearsing.upload(_sheet(tmp_path, 5))
    rehearsing.load_mapping(mapping)
    rehearsing.check()
    rehearsing.page.reload()
    rehearsing.to_send()
    rehearsing.page.reload()
    rehearsing.page.get_by_role("button", name="Send 5 rows").wait_for()
    rehearsing.send_all()
    rehearsing.page.reload()
    assert "5 created" in rehearsing.said
    for _ in range(4):
        rehearsing.page.go_back()
        rehearsing.page.wait_for_load_state()
    rehearsing.page.get_by_role("link", name="Imports").click()
    rehearsing.page.wait_for_url("**/imports")

    assert "5 created" in rehearsing.said


def test_real_rows_reach_the_tenant_once(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """Who, where and how many are shown; a second press and a second window send nothing more."""
    with_keys.until_send(_sheet(tmp_path, 6), mapping)
    assert "This cannot be undone" in with_keys.said
    with_keys.page.get_by_role("button", name="Send 6 rows").click()
    with_keys.page.get_by_role("button", name="Yes, send").wait_for()
    second = with_keys.window()
    second.goto(with_keys.page.url)
    second.get_by_role("button", name="Yes, send").wait_for()
    with_keys.page.get_by_role("button", name="Yes, send").dblclick()
    second.get_by_role("button", name="Yes, send").click()
    second.wait_for_url(re.compile("/(progress|results)$"))
    second.wait_for_url("**/results")
    with_keys.page.goto(second.url)  # of a double press, the browser may give up either answer
    second.wait_for_url("**/results")

    assert len(tenant.creates) == 6
    assert len(tenant.activities) == 6


def test_the_rehearsal_switched_in_another_window_sends_nothing(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """A form made for a rehearsal never sends to LeadSquared."""
    with_keys.page.get_by_role("switch", name="Rehearsal").check()
    with_keys.page.get_by_text("Practice").wait_for()
    with_keys.until_send(_sheet(tmp_path, 3), mapping)
    with_keys.page.get_by_role("button", name="Send 3 rows").click()
    with_keys.page.get_by_role("button", name="Yes, send").wait_for()
    second = with_keys.window()
    second.goto(f"http://127.0.0.1:{with_keys.screen.port}/imports")
    second.get_by_role("switch", name="Rehearsal").uncheck()
    second.get_by_text("Real: rows are sent").wait_for()
    with_keys.press("Yes, send")
    with_keys.page.get_by_text("The rehearsal was switched in another window. Nothing was sent.").wait_for()

    assert tenant.creates == []


def test_stop_and_resume(
    start_tenant: StartTenant, home: Path, browser: Browser, tmp_path: Path, mapping: Path
) -> None:
    """Stop lets calls under way end; Progress and Results offer Resume, and each row arrives once."""
    tenant = start_tenant(latency_s=0.05)
    tenant.set_faults({"faults": [{"do": "hold", "nth": list(range(6, 61))}]})
    with RunningScreen(home) as screen:
        person = Person(browser, screen)
        person.until_send(_sheet(tmp_path, 60), mapping)
        person.page.get_by_role("button", name="Send 60 rows").click()
        person.press("Yes, send")
        person.page.get_by_role("progressbar").wait_for()
        person.picture("09-running")
        person.stop(tenant)
        assert person.page.url.endswith("/progress")
        person.picture("10-stopped")
        person.page.get_by_role("link", name="See the rows").click()
        person.page.wait_for_url("**/results")
        person.press("Resume")
        person.page.get_by_text("60 created").wait_for()
        person.page.wait_for_url("**/results")
        assert person.heard == []
        person.context.close()

    assert len(tenant.activities) == 60


def test_rows_in_doubt_are_what_goes_on_at_the_end(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """Nothing is left to send, but one row waits for LeadSquared's answer: the page says that it is looked
    up."""
    with_keys.until_send(_sheet(tmp_path, 4), mapping)
    tenant.set_faults(
        {"faults": [{"do": "answer", "status": 504, "nth": 1}, {"do": "hold", "on": "retrieve"}]}
    )
    with_keys.page.get_by_role("button", name="Send 4 rows").click()
    with_keys.press("Yes, send")
    with_keys.page.get_by_text("Looking 1 uncertain row up in LeadSquared.").wait_for()
    tenant.set_faults({})
    tenant.ask(lambda sandbox: sandbox.release())
    with_keys.page.wait_for_url("**/results")

    assert "4 created" in with_keys.said


def test_a_plan_that_waits_for_its_reader_is_not_listed_as_running(
    with_keys: Person, tmp_path: Path, mapping: Path
) -> None:
    """After a trial, Send owns the batch and sends nothing."""
    with_keys.until_send(_sheet(tmp_path, 5), mapping)
    with_keys.press("Try 3 rows")
    with_keys.page.get_by_role("button", name="Send 2 rows").wait_for()
    with_keys.page.get_by_role("link", name="Imports", exact=True).click()
    with_keys.page.get_by_text("3 created, 2 pending").wait_for()

    assert "running" not in with_keys.said


def test_a_page_whose_server_is_gone_says_so(home: Path, browser: Browser, tmp_path: Path) -> None:
    """What is typed would not be kept, and a run would seem to go on for ever."""
    with RunningScreen(home, rehearsal=True) as screen:
        person = Person(browser, screen)
        person.upload(_sheet(tmp_path, 2))
        alert = person.page.get_by_role("alert").filter(has_text="The importer does not answer")
        person.page.get_by_label("Activity type", exact=True).fill("10001")
        person.page.locator("#preview").get_by_text("10001").first.wait_for()
        before = alert.count()
    person.page.get_by_label("Activity type", exact=True).fill("10002")
    alert.wait_for()
    person.context.close()

    assert before == 0


def test_a_running_import_is_not_erased(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """Results says why, in another window, and the run goes on to its end."""
    with_keys.until_send(_sheet(tmp_path, 6), mapping)
    tenant.set_faults({"faults": [{"do": "hold", "nth": [4, 5, 6]}]})
    with_keys.page.get_by_role("button", name="Send 6 rows").click()
    with_keys.press("Yes, send")
    with_keys.page.get_by_text("3 created").wait_for()
    other = with_keys.window()
    other.goto(with_keys.page.url.replace("/progress", "/erase"))
    other.get_by_role("button", name="Yes, erase").click()
    other.wait_for_url("**/results")
    refused = other.get_by_role("alert").inner_text()
    tenant.set_faults({})
    tenant.ask(lambda sandbox: sandbox.release())
    with_keys.page.wait_for_url("**/results")

    assert "The batch is in use" in refused
    assert "Ctrl-C" not in refused
    assert "6 created" in with_keys.said


def test_many_notices_do_not_push_stop_out_of_sight(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """With another mapping, Resume names each row that changes; Stop stays where it is seen."""
    with_keys.until_send(_sheet(tmp_path, 60), mapping)
    tenant.set_faults({"faults": [{"do": "hold", "nth": list(range(6, 61))}]})
    with_keys.page.get_by_role("button", name="Send 60 rows").click()
    with_keys.press("Yes, send")
    with_keys.stop(tenant)
    tenant.set_faults({"faults": [{"do": "hold"}]})
    other = with_keys.window()
    other.goto(with_keys.page.url.replace("/progress", "/mapping"))
    other.get_by_label("Field for Outcome").fill("mx_Custom_5")
    other.locator("#preview").get_by_text("mx_Custom_5").first.wait_for()
    with_keys.press("Resume")
    with_keys.page.wait_for_url("**/send")
    with_keys.page.get_by_role("button", name=re.compile(r"^Send \d+ rows$")).click()
    with_keys.press("Yes, send")
    with_keys.page.wait_for_url("**/progress")
    with_keys.page.get_by_text(re.compile(r"and \d+ more")).wait_for()
    stop = with_keys.page.get_by_role("button", name="Stop").bounding_box()
    tenant.set_faults({})
    tenant.ask(lambda sandbox: sandbox.release())
    with_keys.page.wait_for_url("**/results")

    assert stop is not None
    assert stop["y"] + stop["height"] < 900
    assert len(tenant.activities) == 60


def test_resume_with_another_mapping_asks_first(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """What changes is shown on Send, and nothing leaves before "Yes, send"; with the mapping as it was,
    Resume goes on at once."""
    with_keys.until_send(_sheet(tmp_path, 5), mapping)
    with_keys.press("Try 3 rows")
    with_keys.page.get_by_role("button", name="Send 2 rows").wait_for()
    with_keys.page.get_by_role("link", name="Mapping", exact=True).click()
    with_keys.page.wait_for_url("**/mapping")  # with its scripts: what is typed before them is not taken over
    with_keys.page.get_by_label("Field for Outcome").fill("mx_Custom_5")
    with_keys.page.locator("#preview").get_by_text("mx_Custom_5").first.wait_for()
    with_keys.page.get_by_role("link", name="Results", exact=True).click()
    with_keys.press("Resume")
    with_keys.page.wait_for_url("**/send")
    with_keys.page.get_by_text("row 5: mx_Custom_1: 'Won' → '(not sent)'").wait_for()
    asked = with_keys.said
    before = len(tenant.creates)
    with_keys.send_all()

    assert "The mapping was changed since sending began" in asked
    assert before == 3
    fields = sorted("mx_Custom_5" in one.fields for one in tenant.activities)
    assert fields == [False, False, False, True, True]


def test_the_same_sheet_twice_is_refused_with_a_way_on(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """The earlier import is named and opened; nothing is sent twice."""
    for _ in range(2):
        with_keys.upload(_sheet(tmp_path, 3))
        with_keys.load_mapping(mapping)
        with_keys.check()
        with_keys.press("Continue")
        with_keys.page.wait_for_url("**/send")
        if not tenant.creates:
            with_keys.send_all()
    with_keys.page.get_by_role(
        "radiogroup", name="Send this sheet although it was imported before?"
    ).wait_for()
    with_keys.page.get_by_role("link", name="Open that import").first.click()
    with_keys.page.wait_for_url("**/results")

    assert "3 created" in with_keys.said
    assert len(tenant.creates) == 3


def test_a_slow_refusal_is_shown_and_tried_again(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where LeadSquared takes longer than a page waits, the page that waits for it gets the error."""
    monkeypatch.setattr("importer.web.send_step.SHOWN_AT_ONCE_S", 0.0)
    tenant.set_faults({"faults": [{"do": "answer", "on": "whoami", "status": 401}]})
    with_keys.upload(_sheet(tmp_path, 2))
    with_keys.load_mapping(mapping)
    with_keys.check()
    with_keys.press("Continue")
    with_keys.page.wait_for_url("**/send")
    with_keys.page.get_by_role("alert").wait_for()
    tenant.set_faults({})
    with_keys.page.get_by_role("link", name="Try again").click()
    with_keys.page.get_by_role("button", name="Send 2 rows").wait_for()

    assert tenant.creates == []


def test_keys_are_never_on_the_page(with_keys: Person, tenant: RunningTenant) -> None:
    """Whose they are is, and where they came from."""
    with_keys.page.get_by_role("link", name="Keys").click()
    with_keys.page.get_by_text("Organisation").wait_for()
    with_keys.picture("11-keys")
    content = with_keys.page.content()

    assert tenant.sandbox.access_key not in content
    assert tenant.sandbox.secret_key not in content
    assert "environment" in with_keys.said


def test_keys_are_tried_kept_used_and_removed(
    person: Person, tenant: RunningTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign in, and whose keys they are; they are on no page; sign out, and they are gone."""
    for name in tenant.environment():
        monkeypatch.delenv(name)
    earlier, kept = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(kept)
    page, sandbox = person.page, tenant.sandbox
    try:
        page.get_by_role("link", name="Keys").click()
        page.get_by_text("There are no keys that can be used").wait_for()
        page.get_by_label("Host").fill(tenant.url)
        page.get_by_label("Access key").fill(sandbox.access_key)
        page.get_by_label("Secret key").fill(sandbox.secret_key)
        person.press("Sign in")
        page.get_by_text("Signed in as").wait_for()
        page.get_by_text("Organisation").wait_for()
        assert sandbox.access_key not in page.content()
        assert sandbox.secret_key not in page.content()
        assert page.get_by_label("Secret key").input_value() == ""
        assert sandbox.secret_key in "".join(kept.kept.values())
        person.press("Sign out")
        page.get_by_text("The keys were removed from the keyring.").wait_for()
        page.get_by_text("There are no keys that can be used").wait_for()
        assert kept.kept == {}
    finally:
        keyring.set_keyring(earlier)


def test_a_finished_import_keeps_no_sheet_and_can_be_erased(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path, home: Path
) -> None:
    """Once all rows are created the uploaded sheet is gone, the results can be had; erased, so are they."""
    page = with_keys.page
    with_keys.until_send(_sheet(tmp_path, 3), mapping)
    with_keys.send_all()
    assert list(home.glob("uploads/*/sheet/visits.csv")) == []
    with page.expect_download() as results:
        with_keys.press("Download results")
    assert Path(results.value.path()).read_bytes().count(b"created") == 3
    with_keys.press("Erase")
    page.get_by_text("This cannot be undone").wait_for()
    with_keys.picture("15-erase")
    with_keys.press("Yes, erase")
    page.get_by_text("The data of 3 rows was removed.").wait_for()
    page.get_by_role("cell", name="erased").wait_for()
    page.get_by_role("link", name="Where the imports are kept").click()
    page.get_by_role("heading", name="Store").wait_for()

    assert list((home / "uploads").iterdir()) == []
    assert str(home / "importer.db") in with_keys.said
    assert len(tenant.activities) == 3


def test_wrong_keys_are_refused_at_sign_in(person: Person, tenant: RunningTenant) -> None:
    """LeadSquared's own words, and nothing of what was typed."""
    person.page.get_by_role("link", name="Keys").click()
    person.page.get_by_label("Host").fill(tenant.url)
    person.page.get_by_label("Access key").fill("u$rwrong-access")
    person.page.get_by_label("Secret key").fill("wrong-secret")
    person.press("Sign in")
    person.page.get_by_role("alert").wait_for()

    assert "wrong-secret" not in person.page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_accessible_and_fit(
    rehearsing: Person, tmp_path: Path, mapping: Path, scheme: str, width: int
) -> None:
    """axe finds nothing on any step, and no page scrolls sideways."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    rehearsing.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    rehearsing.page.set_viewport_size({"width": width, "height": 800})
    found: list[str] = []

    def look(step: str) -> None:
        rehearsing.page.wait_for_load_state("load")  # before that, the page may stand without its styles
        rehearsing.picture(f"{step}-{width}-{scheme}")
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        violations = axe.Axe().run(rehearsing.page, options={"runOnly": tags}).response["violations"]
        found.extend(
            f"{step}: {one['id']} {[node['html'] for node in one['nodes']][:2]}" for one in violations
        )
        if rehearsing.page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{step}: scrolls sideways")

    sheet = _sheet(tmp_path, 6)
    sheet.write_text(sheet.read_text().replace("Won,1", "Wno,1"), encoding="utf-8")
    look("new")
    rehearsing.upload(sheet)
    look("mapping")
    rehearsing.load_mapping(mapping)
    look("mapping-loaded")
    rehearsing.page.get_by_role("link", name="As text").click()
    rehearsing.page.get_by_label("Mapping as text (YAML)").wait_for()
    look("mapping-text")
    rehearsing.page.get_by_role("link", name="As a form").click()
    rehearsing.page.get_by_label("Activity type", exact=True).wait_for()
    rehearsing.check()
    look("check")
    rehearsing.page.get_by_label("Leave out 1 invalid row").check()
    rehearsing.to_send()
    look("send")
    rehearsing.page.get_by_role("button", name="Send 5 rows").click()
    rehearsing.page.get_by_role("button", name="Yes, send").wait_for()
    look("confirm")
    rehearsing.press("Yes, send")
    rehearsing.page.wait_for_url("**/results")
    look("results")
    rehearsing.page.get_by_role("link", name="Imports").click()
    rehearsing.page.wait_for_url("**/imports")
    look("imports")
    rehearsing.page.get_by_role("link", name="Keys").click()
    rehearsing.page.wait_for_url("**/keys")
    rehearsing.page.get_by_text("Asking LeadSquared").wait_for(state="detached")
    look("keys")

    assert found == []


@pytest.mark.load
def test_a_large_sheet_stays_usable(
    start_tenant: StartTenant, home: Path, browser: Browser, tmp_path: Path, mapping: Path
) -> None:
    """100,000 rows: read, prepared, sent, stopped, searched and leafed through; a page never has them all."""
    rows = 100_000 if os.environ.get("IMPORTER_LONG") else 5_000
    tenant = start_tenant(rate="100/1")
    with RunningScreen(home) as screen:
        person = Person(browser, screen)
        person.upload(_sheet(tmp_path, rows))
        person.load_mapping(mapping)
        person.check()
        assert f"{rows:,} valid, 0 invalid" in person.said
        person.to_send()
        person.page.get_by_role("button", name=f"Send {rows:,} rows").click()
        person.press("Yes, send")
        person.page.get_by_text(re.compile(r"[1-9]\d* created")).wait_for()
        person.press("Stop")
        person.page.get_by_role("link", name="See the rows").click()
        person.page.wait_for_url("**/results")
        assert person.page.locator("tbody tr").count() == 50
        person.page.get_by_role("link", name="Next rows").click()
        person.page.locator("#row-101").wait_for()
        person.page.get_by_label("Search cells, Ids and row numbers").fill(ACCOUNT.format(rows - 1))
        person.press("Search")
        person.page.locator(f"#row-{rows + 1}").wait_for()
        assert person.page.locator("tbody tr").count() == 1
        assert person.heard == []
        person.context.close()

    assert tenant.creates


def test_a_running_import_is_live_in_the_list(
    start_tenant: StartTenant, home: Path, browser: Browser, tmp_path: Path, mapping: Path
) -> None:
    """Imports opens it at Progress; two imports run side by side."""
    start_tenant(rate="2/1", latency_s=0.05)
    with RunningScreen(home) as screen:
        person = Person(browser, screen)
        for name in ("first.csv", "second.csv"):
            sheet = _sheet(tmp_path, 1_000, name, outcome="Won" if name == "first.csv" else "Lost")
            person.until_send(sheet, mapping)
            person.page.get_by_role("button", name="Send 1,000 rows").click()
            person.press("Yes, send")
            person.page.wait_for_url("**/progress")
        person.page.get_by_role("link", name="Imports").click()
        person.page.wait_for_url("**/imports")
        assert person.page.get_by_text("running").count() == 2
        person.picture("12-imports")
        person.page.get_by_role("link", name="first.csv").click()
        person.page.get_by_role("progressbar").wait_for()
        person.press("Stop")
        person.page.get_by_role("button", name="Resume").wait_for()
        person.context.close()


def test_a_batch_of_the_command_line_is_opened_and_resumed(
    with_keys: Person, tenant: RunningTenant, importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """What a colleague began in the terminal goes on here, with a cell corrected on the screen."""
    sheet = _sheet(tmp_path, 6)
    sheet.write_text(sheet.read_text().replace("Won,2", "Wno,2"), encoding="utf-8")
    with ThreadPoolExecutor(1) as thread:  # Playwright keeps an event loop in this thread
        run = ("run", sheet, "-m", mapping, "--yes", "--skip-invalid", "--limit", "2", "--settle", "0")
        assert thread.submit(importer, *run).result().exit == 3
    page = with_keys.page
    page.get_by_role("link", name="Imports").click()
    page.get_by_role("link", name="visits.csv").click()
    page.get_by_role("link", name="See the rows").click()
    cell = page.get_by_label("Outcome, row 4", exact=True)
    cell.fill("Won")
    page.locator("tr", has=cell).get_by_role("button", name="Save").click()
    page.get_by_text("1 row changed here: Resume sends it.").wait_for()
    with_keys.press("Resume")
    page.get_by_text("6 created").wait_for()

    assert len(tenant.creates) == 6


def check_amounts(person: Person, folder: Path, outcome: str) -> None:
    """Six rows whose amounts are a question (1.500); two have this outcome, the others Won. Only Won fits."""
    sheet, mapping = folder / "amounts.csv", folder / "amounts.yaml"
    lines = [f"{ACCOUNT.format(row)},{row + 1}.500,{outcome if row < 2 else 'Won'}" for row in range(6)]
    sheet.write_text("\n".join(["Account,Amount,Outcome", *lines, ""]), encoding="utf-8")
    mapping.write_text(
        "RelatedCompanyId: Account\nActivityEvent: 10001\nFields:\n"
        "  mx_Custom_1: {column: Amount, type: number}\n  mx_Custom_2: {column: Outcome, one_of: [Won]}\n",
        encoding="utf-8",
    )
    person.upload(sheet)
    person.load_mapping(mapping)
    person.check()


def test_a_question_is_answered_by_choice_and_kept_in_the_mapping(rehearsing: Person, tmp_path: Path) -> None:
    """Nothing is chosen beforehand; the answer goes into the mapping as `accept`."""
    check_amounts(rehearsing, tmp_path, "Won")
    group = rehearsing.page.get_by_role("radiogroup")
    assert group.count() == 1
    assert group.get_by_role("radio", checked=True).count() == 0
    rehearsing.picture("13-question")
    rehearsing.press("Continue")
    rehearsing.page.get_by_text("Answer each question first").wait_for()
    group.get_by_role("radio").first.check()
    rehearsing.to_send()
    rehearsing.send_all()

    with rehearsing.page.expect_download() as download:
        rehearsing.press("Download mapping")
    assert "accept: [" in Path(download.value.path()).read_text(encoding="utf-8")


def test_what_is_ticked_stays_when_a_cell_is_saved(rehearsing: Person, tmp_path: Path) -> None:
    """A choice that was not continued with yet is still chosen, or not, on the page that answers Save."""
    check_amounts(rehearsing, tmp_path, "Wno")
    page = rehearsing.page
    radio = page.get_by_role("radiogroup").get_by_role("radio")
    radio.check()
    page.get_by_label("Leave out 2 invalid rows").check()
    rehearsing.correct_cell("Outcome, row 2", "Won")
    assert radio.is_checked()
    left_out = page.get_by_label("Leave out 1 invalid row")
    assert left_out.is_checked()
    left_out.uncheck()
    rehearsing.correct_cell("Outcome, row 3", "Won")
    assert radio.is_checked()
    rehearsing.to_send()

    assert page.get_by_role("button", name="Send 6 rows").is_visible()


def test_the_keyboard_alone_is_enough(person: Person) -> None:
    """From the first visit to sent rows with Tab, Enter and Space."""
    keys = person.page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(400):
            keys.press("Tab")
            focused = "document.activeElement.innerText || document.activeElement.value || ''"
            if person.page.evaluate(focused).strip() == name:
                return
        raise AssertionError(f"no way to {name}")

    tab_to("Rehearse with a sample sheet")
    keys.press("Enter")
    person.page.wait_for_url("**/mapping")
    tab_to("Check")
    keys.press("Enter")
    person.page.wait_for_url("**/check")
    person.page.get_by_text("40 valid, 0 invalid").wait_for()
    tab_to("Continue")
    keys.press("Space")
    person.page.get_by_role("button", name="Send 40 rows").wait_for()
    tab_to("Send 40 rows")
    keys.press("Enter")
    person.page.get_by_role("button", name="Yes, send").wait_for()
    tab_to("Yes, send")
    keys.press("Enter")
    person.page.wait_for_url("**/results")

    assert "40 created" in person.said


def test_results_in_both_formats(rehearsing: Person, tmp_path: Path, mapping: Path) -> None:
    """As the sheet is, and the other one."""
    openpyxl = pytest.importorskip("openpyxl")
    rehearsing.until_send(_sheet(tmp_path, 2), mapping)
    rehearsing.send_all()
    with rehearsing.page.expect_download() as text:
        rehearsing.press("Download results")
    with rehearsing.page.expect_download() as workbook:
        rehearsing.page.get_by_role("link", name="As a workbook (.xlsx)").click()
    kept = tmp_path / "results.xlsx"
    workbook.value.save_as(kept)
    shown = openpyxl.load_workbook(kept).active

    assert text.value.suggested_filename.endswith(".results.csv")
    assert workbook.value.suggested_filename.endswith(".results.xlsx")
    assert [cell.value for cell in shown["B"]] == ["import_status", "created", "created"]


def test_an_import_of_which_nothing_was_sent_can_be_removed(
    rehearsing: Person, tmp_path: Path, home: Path
) -> None:
    """Its sheet is gone from the disk."""
    rehearsing.upload(_sheet(tmp_path, 2))
    rehearsing.page.get_by_role("link", name="Imports").click()
    rehearsing.press("Remove visits.csv")
    rehearsing.page.get_by_text("The import was removed.").wait_for()

    assert list((home / "uploads").iterdir()) == []


def test_a_team_sees_and_continues_a_colleagues_import(
    start_tenant: StartTenant,
    browser: Browser,
    tmp_path: Path,
    mapping: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two computers on one store: what was stopped on one is in the other's list, and goes on there."""
    tenant = start_tenant(latency_s=0.05)
    tenant.set_faults({"faults": [{"do": "hold", "nth": list(range(6, 61))}]})
    with postgres_database() as url:
        monkeypatch.setenv("IMPORTER_STORE", url)
        with RunningScreen(tmp_path / "mine") as mine:
            person = Person(browser, mine)
            person.until_send(_sheet(tmp_path, 60), mapping)
            person.page.get_by_role("button", name="Send 60 rows").click()
            person.press("Yes, send")
            person.stop(tenant)
            person.context.close()
        monkeypatch.setenv("IMPORTER_HOME", str(tmp_path / "hers"))
        with RunningScreen(tmp_path / "hers") as hers:
            colleague = Person(browser, hers)
            colleague.page.get_by_role("link", name="visits.csv").click()
            colleague.page.get_by_role("button", name="Resume").click()
            colleague.page.get_by_text("60 created").wait_for()
            assert colleague.heard == []
            colleague.context.close()

    assert len(tenant.activities) == 60


def test_a_file_is_dropped_on_the_page(rehearsing: Person, tmp_path: Path) -> None:
    """As from a folder's window."""
    sheet = _sheet(tmp_path, 2).read_text(encoding="utf-8")
    files = rehearsing.page.evaluate_handle(
        """text => {
            const held = new DataTransfer();
            held.items.add(new File([text], "dropped.csv", {type: "text/csv"}));
            return held;
        }""",
        sheet,
    )
    rehearsing.page.dispatch_event("form[data-drop]", "drop", {"dataTransfer": files})
    rehearsing.page.wait_for_url("**/sheet")

    assert "dropped.csv" in rehearsing.said


def test_what_came_back_otherwise_is_shown_field_by_field(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """A trial that LeadSquared changes says which field, before all rows are sent."""
    tenant.set_faults({"tenant": {"read_back": [{"field": "mx_Custom_1", "change": "set", "value": "Lost"}]}})
    with_keys.until_send(_sheet(tmp_path, 5), mapping)
    with_keys.press("Try 3 rows")
    with_keys.page.get_by_text("0 of 3 rows equal").wait_for()

    assert with_keys.page.url.endswith("/send")
    assert "mx_Custom_1" in with_keys.said
    assert len(tenant.creates) == 3


def test_created_rows_are_corrected_from_the_results(
    with_keys: Person, tenant: RunningTenant, tmp_path: Path, mapping: Path
) -> None:
    """The differences are shown and asked about; one update leaves, and the other rows stay. Taken back, it
    is no longer a change that waits for Correct."""
    with_keys.until_send(_sheet(tmp_path, 4), mapping)
    with_keys.send_all()
    with_keys.press("Correct")
    with_keys.page.get_by_text("There is nothing to correct yet").wait_for()
    with_keys.press("Back to Results")
    cell = with_keys.page.get_by_label("Outcome, row 4", exact=True)
    cell.fill("Lost")
    with_keys.page.locator("tr", has=cell).get_by_role("button", name="Save").click()
    with_keys.page.get_by_text("1 created row changed here").wait_for()
    with_keys.press("Correct")
    with_keys.page.get_by_text("row 4, mx_Custom_1").wait_for()
    with_keys.picture("14-correct")
    with_keys.press("Yes, send")
    with_keys.page.get_by_text("1 corrected").wait_for()
    corrected = sorted(one.fields["mx_Custom_1"] for one in tenant.activities)
    with_keys.press("Correct")
    with_keys.press("Take the last correction back")
    with_keys.press("Yes, send")
    with_keys.page.get_by_text("1 corrected").wait_for()

    assert corrected == ["Lost", "Won", "Won", "Won"]
    assert {one.fields["mx_Custom_1"] for one in tenant.activities} == {"Won"}
    assert with_keys.page.get_by_label("Outcome, row 4", exact=True).input_value() == "Won"
    assert "changed here" not in with_keys.said
    assert len(tenant.creates) == 4


def test_another_header_row_is_kept_in_the_mapping(rehearsing: Person, tmp_path: Path) -> None:
    """A guessed mapping is guessed again; one that was changed by hand says the new row."""
    sheet = tmp_path / "titled.csv"
    rows = [f"{ACCOUNT.format(row)},Won" for row in range(3)]
    sheet.write_text(
        "\n".join(["Account,Outcome", "Account again,Outcome again", *rows, ""]), encoding="utf-8"
    )
    rehearsing.upload(sheet)
    page = rehearsing.page
    page.get_by_label("Activity type", exact=True).fill("10001")
    page.locator("#preview").get_by_text("10001").first.wait_for()
    page.get_by_role("link", name="Sheet").click()
    page.get_by_label("Header row").fill("2")
    rehearsing.press("Continue")
    page.wait_for_url("**/mapping")
    page.get_by_role("link", name="As text").click()

    assert "header_row: 2\n" in page.get_by_label("Mapping as text (YAML)").input_value()
