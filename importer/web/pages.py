"""From a template and what it shows to a page. Everything is escaped; cells have a direction of their own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

HERE: Final = Path(__file__).parent
SHOWN_MAX: Final = 200
_UNSEEN: Final = frozenset(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


class Pages:
    """The templates, with what every page needs: the form's token and the headings of the frame."""

    def __init__(self, form_token: str) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            cell=cell, plain=plain, number="{:,}".format, moment=moment, count=count, duration=duration
        )
        self._templates.globals["form_token"] = form_token

    def page(self, template: str, **shown: Any) -> web.Response:
        """A whole page, or a piece of one for htmx."""
        text = self._templates.get_template(template).render(**shown)
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    def piece(self, template: str, **shown: Any) -> str:
        """A piece of a page as text, for an event of the progress page."""
        return self._templates.get_template(template).render(**shown)


def plain(text: object, most: int = SHOWN_MAX) -> str:
    """Somebody's words on one line: shortened, nothing invisible, nothing that turns the direction."""
    words = str(text)
    shown = "".join(char if _harmless(char) else _visible(char) for char in words[: most + 1])
    return f"{shown[:most]}…" if len(words) > most else shown


def cell(text: object, most: int = SHOWN_MAX) -> Markup:
    """`plain(text)` in an element of its own reading direction."""
    return Markup("<bdi>{}</bdi>").format(escape(plain(text, most)))


def moment(at: float | str) -> Markup:
    """A moment in UTC; the page's script shows it in the reader's own time zone."""
    when = (
        dt.datetime.fromtimestamp(at, dt.UTC)
        if isinstance(at, int | float)
        else dt.datetime.fromisoformat(at).astimezone(dt.UTC)
    )
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), f"{when:%Y-%m-%d %H:%M} UTC"
    )


def count(number: int, noun: str) -> str:
    """`1 row`, `12,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A length of time as one says it."""
    if seconds < 100:
        return count(max(1, round(seconds)), "second")
    minutes = round(seconds / 60)
    if minutes < 100:
        return count(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    return count(hours, "hour") + (f" {count(minutes, 'minute')}" if minutes else "")


def _harmless(char: str) -> bool:
    return char not in _UNSEEN and (char.isprintable() or char == " ")


def _visible(char: str) -> str:
    if char in "\n\r":
        return "↵" if char == "\n" else ""
    return " " if char == "\t" else char.encode("unicode_escape", "surrogatepass").decode("ascii")
