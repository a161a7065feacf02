"""What the code promises about itself: sizes that fit a screen, and leaves that stay leaves."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import importer

MODULE_LINES_MOST = 600
FUNCTION_LINES_MOST = 50
PACKAGE_LINES_MOST = 36_500
PACKAGE_MODULES_MOST = 165
MODULE_LINES_MEDIAN = range(100, 251)

PACKAGE = Path(importer.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the function without its docstring."""
    first = function.body[0]
    said = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    return (function.end_lineno or 0) - function.lineno + 1 - said


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_fits_in_one_reading(path: Path) -> None:
    """A module says at its top what it is about, has at most 600 lines, and no function of more than 50."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    long = {each.name: _lines(each) for each in _functions(tree) if _lines(each) > FUNCTION_LINES_MOST}
    assert ast.get_docstring(tree) or not text, "no docstring"
    assert len(text.splitlines()) <= MODULE_LINES_MOST
    assert long == {}


def test_the_package_does_not_grow() -> None:
    """A larger house is harder to take over: what comes in makes room. Lower the limits where it shrank."""
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES]
    assert sum(lines) <= PACKAGE_LINES_MOST
    assert len(lines) <= PACKAGE_MODULES_MOST
    assert round(statistics.median(each for each in lines if each > 1)) in MODULE_LINES_MEDIAN


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_asks_and_exits(path: Path) -> None:
    """Everything else raises an ImporterError or returns a value."""
    if path.relative_to(PACKAGE).parts[0] in {"cli", "__main__.py"}:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))

    forbidden = {"print", "input", "exit", "quit", "breakpoint"}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in {"typer", "click", "getpass"}
    }
    assert (called & forbidden, imported) == (set(), set())


@pytest.mark.parametrize("path", sorted((PACKAGE / "sandbox").glob("*.py")), ids=lambda path: str(path.name))
def test_the_sandbox_shares_nothing_with_the_client(path: Path) -> None:
    """It would agree with the client's mistakes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _names(node)
        if name.split(".")[0] == "importer"
    }

    assert {name for name in imported if not name.startswith("importer.sandbox")} == set()


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    # `from importer import sandbox` names a module of the package just as well.
    if node.module == "importer":
        return [f"importer.{alias.name}" for alias in node.names]
    return ["importer.relative"] if node.level else [node.module or ""]


FUNCTION_IMPORTS_MOST = 30
_SQL = re.compile(
    r"\b(?:SELECT\s.+\sFROM|INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM"
    r"|CREATE\s+(?:TABLE|INDEX|TRIGGER))\b",
    re.DOTALL,
)
_NOT_PLAIN = re.compile(
    r"\b(?:mend(?:ed|ing|s)?|anew|twins?|told|hangs|journals?|ledgers?|is no (?:results|format))\b",
    re.IGNORECASE,
)


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sql_is_in_the_store_alone(path: Path) -> None:
    """And in the sandbox, for its own file; no other room imports SQLAlchemy or a database's driver."""
    if _room(path) in {"store", "sandbox"}:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))

    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _names(node)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value)
    ]
    assert (imported & {"sqlalchemy", "alembic", "psycopg", "sqlite3"}, texts) == (set(), [])


def test_a_class_name_has_one_meaning() -> None:
    """In the whole client side."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        if _room(path) != "sandbox":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_imports_are_at_the_top() -> None:
    """Those inside of functions are exceptions."""
    inside = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in MODULES
        for function in _functions(ast.parse(path.read_text(encoding="utf-8")))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(inside) < FUNCTION_IMPORTS_MOST, inside


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_texts_and_docstrings_are_in_plain_words(path: Path) -> None:
    """One term for each concept, and no metaphors."""
    found = [
        word
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in _NOT_PLAIN.findall(node.value)
    ]
    assert found == []
