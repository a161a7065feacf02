"""The folder of the importer's own files: the store, logs, the sandbox's memory.

Light on purpose: commands that need no keys need only this. The folder is on a local disk by default
(sheets live on network drives and synchronised folders, a SQLite file must not), and its owner's alone:
it holds customer data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.atomic_file import private_folder
from importer.errors import SettingsError

VARIABLE: Final = "IMPORTER_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything lies under `root`, an absolute path. Nothing is created before `prepare`."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def sandbox(self) -> Path:
        """What the embedded sandbox created."""
        return self.root / "sandbox"

    @property
    def uploads(self) -> Path:
        """Sheets that were brought on the screen, a folder for each import."""
        return self.root / "uploads"

    def prepare(self) -> list[str]:
        """Create the folders, readable by their owner only. What a person should know: each folder that was
        open to others, and was tightened. Raises SettingsError if that is impossible."""
        notices = []
        for folder in (self.root, self.logs, self.sandbox):
            try:
                tightened = private_folder(folder)
            except OSError as error:
                raise SettingsError(
                    f"The folder cannot be created, or kept from other users ({error.strerror or error}).",
                    where=str(folder),
                    remedy=f"Free the name or the disk, or set {VARIABLE} to a folder of your own.",
                ) from error
            if tightened:
                notices.append(f"{folder} could be read by other users of this computer; it is now private.")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise SettingsError(
                "The folder cannot be written.",
                where=str(self.root),
                remedy=f"Set {VARIABLE} to a folder that you may write.",
            )
        return notices


def home() -> Home:
    """The home in force: `IMPORTER_HOME`, else the user's data folder. Touches nothing."""
    return Home(home_folder())


def home_folder() -> Path:
    """`home().root`. Raises SettingsError when `~` in IMPORTER_HOME names nobody."""
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        import platformdirs

        return Path(platformdirs.user_data_dir("importer", appauthor=False))
    try:
        return Path(os.path.abspath(Path(named).expanduser()))  # noqa: PTH100 - resolve() would follow links
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"{named!r} is not a folder.", where=VARIABLE, remedy="Set it to a folder that you may write."
        ) from error
