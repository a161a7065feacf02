"""What the code promises about itself: sizes that fit a screen, and leaves that stay leaves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import importer

MODULE_LINES_MOST = 600
FUNCTION_LINES_MOST = 50

PACKAGE = Path(importer.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the function's code; its signature and its docstring do not count."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_fits_in_one_reading(path: Path) -> None:
    """A module says at its top what it is about, has at most 600 lines, and no function of more than 50."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    long = {
        each.name: _body_lines(each) for each in _functions(tree) if _body_lines(each) > FUNCTION_LINES_MOST
    }
    assert ast.get_docstring(tree) or not text, "no docstring"
    assert len(text.splitlines()) <= MODULE_LINES_MOST
    assert long == {}


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
