"""The report's page in a real Chromium: it renders, the search works, nothing leaves, no cell runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Importer, Result, RunningTenant

pytestmark = pytest.mark.security

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
MAPPING = """\
RelatedCompanyId: Account
ActivityEvent: 10001
Fields:
  mx_Custom_1: Outcome
  mx_Custom_2: {column: Amount, type: number}
"""
ATTACKS = (
    "<script>document.title='hit'</script>",
    "</script><script>document.title='hit'</script>",
    "<img src=x onerror=\"document.title='hit'\">",
    "'\"><svg onload=document.title='hit'>",
    "<!--<script>",
    "{{ 7*7 }} {% raw %}",
    "javascript:document.title='hit'",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content=0;url=https://evil.example/>",
)


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


class Opened:
    """A page, and whatever it asked for, said, or failed at."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.heard: list[str] = []
        page.on("request", lambda request: self.heard.append(request.url))
        page.on("console", lambda message: self.heard.append(message.text))
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on("dialog", lambda dialog: self.heard.append(dialog.message))
        self.address = file.as_uri()
        page.goto(self.address)

    def find(self, text: str) -> str:
        """What the search box says of `text`."""
        self.page.fill("#search", text)
        self.page.click("button")
        return " ".join(
            (self.page.inner_text("#search-status") + " " + self.page.inner_text("#search-found")).split()
        )


def _report(importer: Importer, folder: Path, cells: list[str]) -> Path:
    """A report on a batch whose rows have these outcomes; every fourth row is invalid."""
    sheet = folder / "visits.csv"
    lines = [
        f'{ACCOUNT},"{cell.replace(chr(34), chr(34) * 2)}",{"x" if row % 4 == 3 else row}'
        for row, cell in enumerate(cells)
    ]
    sheet.write_text("\n".join(["Account,Outcome,Amount", *lines]) + "\n", encoding="utf-8")
    mapping = folder / "visits.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    # Playwright keeps an event loop in this thread, and a command brings its own.
    with ThreadPoolExecutor(1) as thread:

        def call(*arguments: str | Path) -> Result:
            return thread.submit(importer, *arguments).result()

        call("run", sheet, "-m", mapping, "--yes", "--settle", "0", "--skip-invalid")
        call("verify", sheet, "--settle", "0")
        return Path(call("report", sheet, "--json").json["report"])


@pytest.fixture
def opened(importer: Importer, tenant: RunningTenant, tmp_path: Path, browser: Browser) -> Iterator[Opened]:
    """The report on twelve plain rows, rows 2 to 13."""
    report = _report(importer, tmp_path, [f"visit {row}" for row in range(12)])
    page = browser.new_page()
    yield Opened(page, report)
    page.close()


def test_it_renders_and_asks_for_nothing(opened: Opened) -> None:
    """Landmarks, charts and tables are there; the only thing loaded is the file itself."""
    page = opened.page

    assert opened.heard == [opened.address]
    assert [page.locator(name).count() for name in ("main", "header", "footer", "nav", "h1")] == [1] * 5
    assert page.locator("figure svg[role=img]").count() == 2
    assert page.locator("figure svg rect.o-created").first.bounding_box() is not None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_happened_to_row_4(opened: Opened) -> None:
    """A number finds its row: status, Id, the row's own cells."""
    said = opened.find("4")

    assert said.startswith("1 row: Row 4 created It is in LeadSquared.")
    assert "Activity Id" in said
    assert "visit 2" in said


def test_other_ways_to_search(opened: Opened) -> None:
    """A span, a word in a cell, a status, a row that is not there; a link to a row."""
    assert opened.find("3-5").startswith("3 rows: Row 3 ")
    assert opened.find("Visit 11").startswith("1 row: Row 13 invalid")
    assert opened.find("invalid").startswith("3 rows: Row 5 ")
    assert opened.find("99") == "The sheet has no row 99 with content."
    assert opened.find("0").startswith("No row has that number, but it stands in a cell of: Row 2 ")
    assert opened.find("") == ""
    assert opened.page.locator("article.found").count() == 0
    opened.page.goto("about:blank")
    opened.page.goto(opened.address + "#row-6")
    assert "Row 6" in opened.page.inner_text("#search-found")


def test_hostile_cells_do_not_run(
    importer: Importer, tenant: RunningTenant, tmp_path: Path, browser: Browser
) -> None:
    """In the tables, in the data, and in what the search puts on the page."""
    tenant.set_faults(
        {"tenant": {"read_back": [{"field": "mx_Custom_1", "change": "set", "value": ATTACKS[2]}]}}
    )
    report = _report(importer, tmp_path, list(ATTACKS))
    page = browser.new_page()
    opened = Opened(page, report)
    title = page.title()
    said = opened.find("2-20")

    assert all(" ".join(attack.split()) in said for attack in ATTACKS)
    assert (page.title(), page.url, opened.heard) == (title, opened.address, [opened.address])
    assert page.locator("#search-found script, #search-found img, #search-found svg").count() == 0
    page.close()


def test_the_policy_holds_even_if_something_got_in(opened: Opened) -> None:
    """A script and a picture put into the page by force: neither runs, neither gets as far as the network."""
    left: list[str] = []

    def stop(route: Route) -> None:
        left.append(route.request.url)
        route.abort()

    opened.page.route("**/*", stop)
    opened.page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend",
              "<img src='https://evil.example/x.png' onerror=\\"document.title='hit'\\">");
            const script = document.createElement("script");
            script.textContent = "document.title='hit'";
            document.body.append(script);
        }"""
    )
    opened.page.wait_for_function("document.images.length === 1 && document.images[0].complete")

    assert (opened.page.title() != "hit", left) == (True, [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(browser: Browser, opened: Opened, scheme: str) -> None:
    """WCAG's 4.5 to 1 for every text on the page, in both colour schemes."""
    opened.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened.find("3-5")
    faint = opened.page.evaluate(_FAINT_TEXTS)

    assert json.dumps(faint) == "[]"


def test_it_fits_a_telephone(opened: Opened) -> None:
    """No sideways scrolling of the page at 360 pixels."""
    opened.page.set_viewport_size({"width": 360, "height": 700})
    opened.find("2-13")

    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_prints_without_the_search_form(opened: Opened) -> None:
    """On paper stands what was found, not the box to look for it."""
    opened.find("4")
    opened.page.emulate_media(media="print")

    assert opened.page.is_visible("article.found")
    assert not opened.page.is_visible("#search")
    assert not opened.page.is_visible("nav")


_FAINT_TEXTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((each) => {
      const share = each / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      const alpha = parts(colour)[3];
      if (alpha === undefined || alpha > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const shown = element.getClientRects().length && !["SCRIPT", "STYLE", "TITLE"].includes(element.tagName);
    if (!own || !shown) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [one, two] = [light(ink), light(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < 4.5) faint.push([element.tagName, element.textContent.slice(0, 40), contrast.toFixed(2)]);
  }
  return faint;
}"""
