"""The words of the pages: messages name the screen's own buttons, not the command line's options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import meta, nodes
from screen import Caller, RunningScreen

import importer
from importer.web.screen import HERE, screen_words, templates

PACKAGE = Path(importer.__file__).parent
ROOMS = ("checking", "leadsquared", "mapping", "sending", "sheets", "starter", "verification")
MODULES = ("findings.py", "remedies.py")
NOT_SHOWN = ("marked_sheet.py", "entries.py", "legacy.py")
"""The marked copy and the comments of a mapping file are the command line's; a worker's own arguments."""
OPTION = re.compile(r"(?<![\w-])--[a-z]+|`importer |`resume")


def _texts() -> Iterator[str]:
    """Every text of the rooms whose messages reach the screen; values that are filled in stand as 17."""
    for path in (*(PACKAGE / name for name in MODULES), *(each for room in ROOMS for each in _modules(room))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (each.value if isinstance(each, ast.Constant) else "17" for each in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Call | ast.Assign | ast.AnnAssign | ast.Return | ast.Tuple):
                yield from (
                    each.value
                    for each in ast.iter_child_nodes(node)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )


def _modules(room: str) -> Iterator[Path]:
    return (path for path in (PACKAGE / room).rglob("*.py") if path.name not in NOT_SHOWN)


def test_no_message_on_the_screen_names_an_option_of_the_command_line() -> None:
    """Whatever reads, checks or sends, says what to do here."""
    spoken = [text for text in _texts() if OPTION.search(text)]

    assert len(spoken) > 20
    assert [words for words in map(screen_words, spoken) if OPTION.search(words)] == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Correct the row, then `resume --retry-failed`.",
         "Correct the row, then Resume with “Send failed rows again”."),
        ("Delete the row, or use --skip-invalid to leave it out.",
         "Delete the row, or leave the invalid rows out."),
        ("1 cell cannot be read as numbers; `importer check` names them.",
         "1 cell cannot be read as numbers; Check names them."),
        ("No row was accepted for 15 minutes (--max-outage). Resume when it answers again.",
         "No row was accepted for 15 minutes. Resume when it answers again."),
        ("A dash -- and `code` stay.", "A dash -- and `code` stay."),
        ("Check LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY (`importer whoami`), then resume.",
         "Check access key and secret key (Keys), then resume."),
        ("Correct it in the sheet, or add it to the list in the mapping.",
         "Correct it here, or add it to the allowed values on Mapping."),
        ("If that is wrong, change `decimal`.",
         "If that is wrong, change the decimal mark under “More settings”."),
        ("Check the network and LEADSQUARED_HOST, then try again.",
         "Check the network and the host, then try again."),
        ("Correct the cell in the results file, then resume.", "Correct the cell here, then press Resume."),
    ],
)  # fmt: skip
def test_options_become_buttons(message: str, words: str) -> None:
    """And everything else stays as it is."""
    assert screen_words(message) == words


FRAME = {"own", "heading", "rehearsal", "said", "here", "once"}
"""What `Screen.show` gives to every page."""


def _shown() -> Iterator[tuple[str, set[str]]]:
    """Each template that the screen fills in, and the names that it is filled in with there."""
    for path in (PACKAGE / "web").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in {"show", "piece", "render"}:
                frame = FRAME if getattr(call.func, "attr", "") == "show" else set()
                texts = (each for part in call.args for each in ast.walk(part))
                for text in texts:
                    if isinstance(text, ast.Constant) and str(text.value).endswith(".html"):
                        yield str(text.value), frame | {each.arg for each in call.keywords if each.arg}


def _asked(name: str) -> tuple[set[str], set[str]]:
    """The names that a template asks for, with those that it extends or includes; and which these are."""
    made = templates("")
    asked, made_here, seen, left = set(made.globals), set(made.globals), set[str](), [name]
    while left:
        seen.add(one := left.pop())
        tree = made.parse((HERE / "templates" / one).read_text(encoding="utf-8"))
        left += [each for each in meta.find_referenced_templates(tree) if each]
        asked |= meta.find_undeclared_variables(tree)
        made_here |= {each.name for each in tree.find_all(nodes.Name) if each.ctx != "load"}
        made_here |= {str(each) for found in tree.find_all(nodes.FromImport) for each in found.names}
    return asked - made_here, seen


def test_every_name_in_a_template_is_given_by_its_page() -> None:
    """No type check reads templates, and a name that is missing ends a page with an error."""
    used = {"base.html"}
    for name, given in _shown():
        asked, parts = _asked(name)
        used |= parts
        assert (name, asked - given) == (name, set())

    assert used == {path.name for path in (HERE / "templates").glob("*.html")}


def test_a_message_waits_for_a_page_that_somebody_opens(home: Path) -> None:
    """A list that is kept live in another window does not take it away."""
    with RunningScreen(home) as screen:
        caller = Caller(screen).sign_in()
        screen.ask(lambda served: served.say("The import was removed."))
        live = caller.call("GET", "/imports", headers={"HX-Request": "true"}).body
        opened = caller.call("GET", "/imports").body

    assert ("was removed" in live, "was removed" in opened) == (False, True)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "There is no such page."),
        ("/rehearsal", 405, "There is no such page."),
        ("/batches/b20261128-122154-e665cc", 404, "This import was not found."),
        ("/batches/nonsense", 404, "This import was not found."),
        ("/imports/u-0000000000000000/send", 404, "This import was not found."),
    ],
)
def test_an_address_that_leads_nowhere_says_so(home: Path, path: str, status: int, words: str) -> None:
    """In words, with a way back: an old bookmark, or the address of a form."""
    with RunningScreen(home) as screen:
        answer = Caller(screen).sign_in().call("GET", path)

    assert answer.status == status
    assert words in answer.body
    assert 'href="/imports"' in answer.body
