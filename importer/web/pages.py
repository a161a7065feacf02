"""From a template and what it shows to a page. Everything is escaped; cells have a direction of their own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from importer.text import NAME_LENGTH_MAX, shown
from importer.wording import count, duration

HERE: Final = Path(__file__).parent
LINES_MOST: Final = 60
LINE_LENGTH_MAX: Final = 2_000


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
            cell=cell,
            message=message,
            plain=shown,
            number="{:,}".format,
            moment=moment,
            count=count,
            duration=duration,
        )
        self._templates.globals["form_token"] = form_token

    def page(self, template: str, **parts: Any) -> web.Response:
        """A whole page, or a piece of one for htmx."""
        text = self._templates.get_template(template).render(**parts)
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    def piece(self, template: str, **parts: Any) -> str:
        """A piece of a page as text, for an event of the progress page."""
        return self._templates.get_template(template).render(**parts)


def cell(text: object, most: int = NAME_LENGTH_MAX) -> Markup:
    """Somebody's words on one line, in an element of their own reading direction."""
    return Markup("<bdi>{}</bdi>").format(shown(str(text), most))


def message(text: object) -> Markup:
    """A message of several lines, each on one of its own."""
    lines = str(text).splitlines()[:LINES_MOST]
    return Markup("<br>").join(Markup("<bdi>{}</bdi>").format(shown(line, LINE_LENGTH_MAX)) for line in lines)


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
