"""A sheet on its way from the browser to a folder of ours: bounded as it arrives, gone if it is refused."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, web

from importer.atomic_file import draft_beside
from importer.errors import SheetError
from importer.web.guard import MULTIPART, SMALLER, UPLOAD_MAX_BYTES, too_large
from importer.web.imports import SHEET, Imports, WebImport, file_name

UPLOAD_UNPACKED_MAX_BYTES: Final = 200 << 20
MAPPING_MAX_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 256 << 10
ZIP_START: Final = b"PK\x03\x04"
TOO_LARGE_UNPACKED: Final = (
    f"The workbook unpacks to more than {UPLOAD_UNPACKED_MAX_BYTES >> 20} MB, the most that can be uploaded."
)


async def receive_sheet(request: web.Request, imports: Imports) -> WebImport:
    """The uploaded sheet as a new import. Raises SheetError; HTTPRequestEntityTooLarge while it arrives.

    Nothing is left of a file that was refused or that did not arrive to its end.
    """
    part = await _file_part(request)
    made, folder = imports.new_folder()
    kept = False
    try:
        name = file_name(part.filename or "")
        await _write(part, folder / SHEET / name)
        await asyncio.to_thread(_check_unpacked, folder / SHEET / name)
        begun = imports.begin(made, name)
        kept = True
    finally:
        if not kept:
            imports.discard(made)
    return begun


async def receive_text(request: web.Request) -> str:
    """An uploaded mapping file's text. Raises SheetError where it is none."""
    part = await _file_part(request)
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        content += chunk
        if len(content) > MAPPING_MAX_BYTES:
            raise SheetError(
                "This file is too large to be a mapping.", remedy="Choose a .yaml file of the importer."
            )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SheetError(
            "This file is not UTF-8 text, so it is not a mapping.",
            remedy="Choose a .yaml file of the importer, saved as UTF-8.",
        ) from error


async def _file_part(request: web.Request) -> BodyPartReader:
    """The file of a form, not read yet. Raises SheetError if the form has none."""
    reader = request.get(MULTIPART)
    if reader is not None:
        part = await reader.next()
        if isinstance(part, BodyPartReader) and part.filename:
            return part
    raise SheetError("No file was chosen.", remedy="Choose a file, or drop it on the page.")


async def _write(part: BodyPartReader, path: Path) -> None:
    """The file as it arrives. Raises FileError, HTTPRequestEntityTooLarge."""
    size_bytes = 0
    with draft_beside(path) as draft:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > UPLOAD_MAX_BYTES:
                raise too_large()
            await asyncio.to_thread(draft.stream.write, chunk)
        await asyncio.to_thread(draft.put, path)


def _check_unpacked(path: Path) -> None:
    """Raises SheetError for a workbook of more than 200 MB, as its own directory says; the reader of
    workbooks unpacks no more than that."""
    with path.open("rb") as stream:
        if stream.read(len(ZIP_START)) != ZIP_START:
            return
    try:
        with zipfile.ZipFile(path) as archive:
            total_bytes = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return  # opening the sheet will say what is wrong with it
    if total_bytes > UPLOAD_UNPACKED_MAX_BYTES:
        raise SheetError(TOO_LARGE_UNPACKED, where=path.name, remedy=SMALLER)
