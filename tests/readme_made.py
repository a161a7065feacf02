"""README's tables that are made from the code: what is written there once is not typed here again.

Each stands in README between `<!-- made: NAME -->` and `<!-- /made -->`. `test_readme.py` compares, and with
IMPORTER_README=write in the environment puts the new text in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperCommand, TyperOption

README: Final = Path(__file__).parents[1] / "README.md"
COMMON: Final = ("--json", "--quiet", "--verbose", "--help")
_MADE: Final = re.compile(r"(<!-- made: ([\w-]+) -->\n)(.*?)(<!-- /made -->)", re.DOTALL)


def readme() -> str:
    """The text of README."""
    return README.read_text(encoding="utf-8")


def write_readme(text: str) -> None:
    """Replace the text of README."""
    README.write_text(text, encoding="utf-8", newline="\n")


def section(heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    marks = heading.split(" ", maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(marks)}}} |\Z)", readme(), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"README has no {heading!r}"
    return found.group(1)


def rows_of(table: str) -> list[list[str]]:
    """The cells of each line of the Markdown tables in a text, headings left out."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    ruled = {number - 1 for number, line in enumerate(lines) if set(line) <= set("|- ")}
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for number, line in enumerate(lines)
        if number not in ruled and number - 1 not in ruled
    ]


def quoted_words(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def with_tables(text: str) -> str:
    """README with every made table as the code has it now."""
    return _MADE.sub(lambda found: f"{found[1]}{MADE[found[2]]()}{found[4]}", text)


def commands() -> dict[str, TyperCommand]:
    """Each command as the parser has it."""
    from importer.cli.main import COMMANDS, loaded

    found = {name: loaded(name) for name in COMMANDS}
    return {name: command for name, command in found.items() if isinstance(command, TyperCommand)}


def options_of(command: TyperCommand) -> list[TyperOption]:
    """A command's own options, without those that all have."""
    return [
        each for each in command.params if isinstance(each, TyperOption) and not set(each.opts) & set(COMMON)
    ]


def _options_table() -> str:
    """One line for each option; where commands differ in its meaning, one for each meaning."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, command in commands().items():
        for option in options_of(command):
            spelt = ", ".join(f"`{each}`" for each in sorted(option.opts, key=len))
            value = "" if option.is_flag else f" {_value_of(option)}"
            key = (spelt + value, option.help or "", _default(option))
            found.setdefault(key, []).append(name)
    lines = ["| option | of | meaning | default |", "|---|---|---|---|"]
    for (spelt, text, default), names in found.items():
        of = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {_cell(spelt)} | {of} | {_cell(text)} | {default} |")
    return "\n".join(lines) + "\n"


def _value_of(option: TyperOption) -> str:
    if option.metavar is not None:
        return option.metavar
    return "|".join(
        word
        for part in get_args(option.type_descriptor.annotation)
        for word in (get_args(part) or [part])
        if isinstance(word, str)
    )


def _default(option: TyperOption) -> str:
    if option.is_flag or option.required or option.default in {None, ()}:
        return "required" if option.required else ""
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def _commands_table() -> str:
    lines = ["| command | what it does |", "|---|---|"]
    for name, command in commands().items():
        arguments = "".join(
            f" {each.metavar}" if each.required else f" [{(each.metavar or '').strip('[]')}]"
            for each in command.params
            if isinstance(each, TyperArgument)
        )
        required = "".join(
            f" {min(each.opts, key=len)} {each.metavar}" for each in options_of(command) if each.required
        )
        first = " ".join((command.help or "").split("\n\n")[0].split())
        lines.append(f"| `importer {name}{arguments}{required}` | {_cell(first)} |")
    return "\n".join(lines) + "\n"


def _mapping_keys() -> str:
    from importer.mapping.model import MappingSpec, keys_of

    lines = ["| key | meaning |", "|---|---|"]
    lines += [
        f"| `{key}` | {_cell(MappingSpec.model_fields[key].description or '')} |"
        for key in keys_of(MappingSpec)
    ]
    return "\n".join(lines) + "\n"


def _block_keys() -> str:
    """The keys of a block, and in which blocks each may stand."""
    from importer.mapping.model import BLOCKS, keys_of

    blocks = {name: BLOCKS[name] for name in ("RelatedCompanyId", "ActivityEvent", "ActivityNote", "Fields")}
    lines = ["| key | in | meaning |", "|---|---|---|"]
    for key in keys_of(BLOCKS["Fields"]):
        places = [name for name, model in blocks.items() if key in keys_of(model)]
        everywhere = len(places) == len(blocks)
        of = "every block" if everywhere else ", ".join(f"`{place}`" for place in places)
        lines.append(f"| `{key}` | {of} | {_cell(_description(BLOCKS['Fields'].model_fields[key]))} |")
    return "\n".join(lines) + "\n"


def _description(field: FieldInfo) -> str:
    """A field's own, or that of the type it is made of."""
    inner = [
        found.description or ""
        for part in get_args(field.annotation)
        for found in getattr(part, "__metadata__", ())
        if isinstance(found, FieldInfo)
    ]
    return field.description or "".join(inner)


def _table_keys() -> str:
    from importer.mapping.model import BLOCKS

    model = BLOCKS["values_file"]
    lines = ["| key of `values_file` | meaning |", "|---|---|"]
    lines += [f"| `{key}` | {_cell(field.description or '')} |" for key, field in model.model_fields.items()]
    return "\n".join(lines) + "\n"


def _error_codes() -> str:
    from importer.remedies import CATALOGUE

    lines = ["| import_error_code | what happened | what to do |", "|---|---|---|"]
    lines += [f"| `{one.code}` | {_cell(one.meaning)} | {_cell(one.action)} |" for one in CATALOGUE.values()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("<", "&lt;").replace(">", "&gt;")


def _error_words() -> str:
    """What `error_code` can be in `--json`."""
    from importer.errors import ERROR_CODES

    lines = ["| `error_code` | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {_cell(meaning)} |" for code, meaning in ERROR_CODES.items()]
    return "\n".join(lines) + "\n"


MADE: Final[dict[str, Callable[[], str]]] = {
    "commands": _commands_table,
    "options": _options_table,
    "mapping-keys": _mapping_keys,
    "block-keys": _block_keys,
    "table-keys": _table_keys,
    "error-codes": _error_codes,
    "error-words": _error_words,
}
