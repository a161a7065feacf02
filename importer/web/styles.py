"""The pages' one stylesheet: Pico's, without its pictures, and ours behind it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiohttp import web

STATIC: Final = Path(__file__).parent / "static"
PICO: Final = STATIC / "pico.classless.min.css"
OWN: Final = STATIC / "screen.css"
_PICTURE: Final = re.compile(r'url\("data:[^"]*"\)')


def stylesheet() -> str:
    """Pico's icons are `data:` addresses, which the pages' policy does not let in: they are left out, and the
    browser draws what needs one."""
    return _PICTURE.sub("none", PICO.read_text(encoding="utf-8")) + OWN.read_text(encoding="utf-8")


class Styles:
    """The stylesheet, made once."""

    def __init__(self) -> None:
        self._text = stylesheet()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/styles.css", self.page)]

    async def page(self, _request: web.Request) -> web.Response:
        """All styles in one answer, so that there is never one half of them."""
        return web.Response(text=self._text, content_type="text/css", charset="utf-8")
