"""The pages beside an import's steps. Imports: all that were begun here, and the batches of the whole team;
also the first page. Store: where they are kept. Keys: whose they are and where they came from; sign in, sign
out. No key is ever sent to the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from importer.app.connecting import login, logout, whoami
from importer.app.options import CallOptions
from importer.app.records import BatchStatus
from importer.app.stores import batch_status, erase, erase_question, list_batches, store_info
from importer.errors import ImporterError, ResultsError
from importer.store.records import is_batch_id
from importer.text import count
from importer.web import sheet_step
from importer.web.guard import local_path
from importer.web.imports import MODES, WebImport, file_name
from importer.web.jobs import open_rows
from importer.web.screen import Route, Screen, form_of, see_other, to_step

SHOWN_MOST: Final = 200


async def first(screen: Screen, request: web.Request) -> web.Response:
    """The imports, or the page that a first sheet is dropped on."""
    return await (page if await _listed(screen) else sheet_step.choose)(screen, request)


async def page(screen: Screen, request: web.Request) -> web.Response:
    """Every import with its state; running ones live."""
    listed = await _listed(screen)
    return screen.show(
        request, "imports.html", "Imports", listed=listed[:SHOWN_MOST],
        running=any(one["running"] for one in listed), hidden=max(0, len(listed) - SHOWN_MOST),
    )  # fmt: skip


async def batch(screen: Screen, request: web.Request) -> web.Response:
    """Any batch, as an import of this screen, at the step where it is."""
    named = request.match_info["batch"]
    if not is_batch_id(named):
        raise web.HTTPNotFound(text="This import was not found.")
    try:
        status = await asyncio.to_thread(batch_status, named, await screen.store())
    except ResultsError:
        raise web.HTTPNotFound(text="This import was not found.") from None
    screen.rehearsal = status.rehearsal
    if status.erased:
        screen.say("The data of this import was erased.")
        return see_other("/imports")
    own = next((each for each in screen.imports.all(screen.mode) if each.here.batch == named), None)
    if own is None:
        own = screen.imports.new(file_name(Path(status.source).name), screen.mode).changed(batch=named)
    running = status.running or screen.jobs.running(own.key)
    return to_step(own, "progress" if running or open_rows(status) else "results")


async def switch(screen: Screen, request: web.Request) -> web.Response:
    """To the rehearsal, or back to LeadSquared."""
    form = await form_of(request)
    screen.rehearsal = form.get("rehearsal") == "on"
    return see_other(local_path(form.get("here", "/")))


async def remove(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Remove an import of which nothing was sent: the uploaded sheet, and everything about it."""
    known = {one.batch for one in await asyncio.to_thread(list_batches, await screen.store())}
    keys = [replace(own, mode=mode).key for mode in MODES]
    for key in keys:
        await screen.jobs.give_up(key)
    if any(map(screen.jobs.running, keys)) or known & {each.batch for each in own.state.modes.values()}:
        screen.say("Rows of this import were sent, so it was not removed.", bad=True)
    else:
        await asyncio.to_thread(screen.imports.discard, own)
        screen.say("The import was removed.")
    return see_other("/imports")


async def ask_to_erase(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """What erasing means, before it is done."""
    if not own.here.batch:
        return see_other("/imports")
    question = await asyncio.to_thread(erase_question, own.here.batch, await screen.store())
    return screen.show(request, "erase.html", "Erase", own, question=question)


async def erased(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Yes, erase: the batch's customer data, and the uploaded sheet."""
    form = await form_of(request)
    if not own.here.batch or form.get("batch") != own.here.batch:
        return see_other("/imports")
    await screen.jobs.give_up(own.key)
    with screen.errors_said():  # it runs
        done = await asyncio.to_thread(erase, own.here.batch, await screen.store())
        if any(each.batch for mode, each in own.state.modes.items() if mode != own.mode):
            own.changed(batch="")
        else:
            screen.imports.discard(own)
        left = [f"It is still in {path}: delete that file yourself." for path in done.files if path.is_file()]
        screen.say("\n".join([f"The data of {count(done.rows, 'row')} was removed.", *left]))
        return see_other("/imports")
    return to_step(own, "results")


async def kept(screen: Screen, request: web.Request) -> web.Response:
    """Where the imports are kept, how much that is, and who runs what."""
    info = await asyncio.to_thread(store_info, await screen.store())
    return screen.show(request, "store.html", "Store", info=info)


async def keys(screen: Screen, request: web.Request) -> web.Response:
    """The forms; whose keys there are is asked by the page, since LeadSquared may take its time."""
    return screen.show(request, "keys.html", "Keys")


async def whose(screen: Screen, request: web.Request) -> web.Response:
    """User and organisation, or why they cannot be known."""
    account, problem = None, ""
    try:
        account = await asyncio.to_thread(asyncio.run, whoami(CallOptions()))
    except ImporterError as error:
        problem = str(error)
    return screen.piece("keys_whose.html", account=account, problem=problem)


async def sign_in(screen: Screen, request: web.Request) -> web.Response:
    """Keys that LeadSquared accepts are kept in the system's keyring, which may block as connections do."""
    form = await form_of(request)
    given = (form.get(name, "").strip() for name in ("host", "access", "secret"))
    with screen.errors_said():
        account, keyring = await asyncio.to_thread(asyncio.run, login(*given))
        screen.say(f"Signed in as {account.user}, {account.organisation}. The keys are kept in {keyring}.")
    return see_other("/keys")


async def sign_out(screen: Screen, request: web.Request) -> web.Response:
    """The keys are removed from the keyring."""
    with screen.errors_said():
        removed = await asyncio.to_thread(logout)
        removal = "The keys were removed from the keyring."
        screen.say(removal if removed else "No keys were kept in the keyring.")
    return see_other("/keys")


async def _listed(screen: Screen) -> list[dict[str, Any]]:
    """The lines of the list: imports begun here of which nothing was sent, and all batches, the newest
    first."""
    batches = await asyncio.to_thread(list_batches, await screen.store())
    begun = await asyncio.to_thread(screen.imports.all, screen.mode)
    ours = {part.batch: replace(own, mode=mode) for own in begun for mode, part in own.state.modes.items()}
    lines: list[dict[str, Any]] = []
    for status in batches:
        own = ours.get(status.batch)
        running = _sends(screen, own, status)
        lines.append(_line(own, status, f"/batches/{status.batch}", running=running))
    known = {status.batch for status in batches}
    for own in begun:
        if own.has_sheet and not known & {part.batch for part in own.state.modes.values()}:
            running = _sends(screen, own, None)  # its batch appears in a moment
            step = "progress" if running else "mapping" if own.mapping.exists() else "sheet"
            lines.append(_line(own, None, f"/imports/{own.id}/{step}", running=running))
    return sorted(lines, key=lambda line: str(line["at"]), reverse=True)


def _sends(screen: Screen, own: WebImport | None, status: BatchStatus | None) -> bool:
    """Whether something goes on, here or elsewhere. A plan that is prepared or waits owns its batch, but
    sends nothing."""
    job = screen.jobs.running(own.key) if own is not None else None
    return job.started if job is not None else status is not None and status.running


def _line(own: WebImport | None, status: BatchStatus | None, path: str, *, running: bool) -> dict[str, Any]:
    """path: where it leads. at: when it began, UTC, ISO 8601. status: of its batch, None while nothing was
    sent. running: here or elsewhere."""
    name = own.state.file if own else Path(status.source).name if status else ""
    at = status.created_at if status else own.state.begun_at if own else ""
    return {"name": name, "path": path, "at": at, "status": status, "running": running, "id": own and own.id}


ROUTES: Final[list[Route]] = [
    ("GET", "/", first),
    ("GET", "/imports", page),
    ("GET", "/batches/{batch}", batch),
    ("POST", "/rehearsal", switch),
    ("POST", "/imports/{import_id}/remove", remove),
    ("GET", "/imports/{import_id}/erase", ask_to_erase),
    ("POST", "/imports/{import_id}/erase", erased),
    ("GET", "/store", kept),
    ("GET", "/keys", keys),
    ("GET", "/keys/whose", whose),
    ("POST", "/keys/sign-in", sign_in),
    ("POST", "/keys/sign-out", sign_out),
]
