"""This computer's time zone, by a name that a mapping can take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

UNKNOWN_ZONE: Final = "UTC"


def local_zone(
    environment: Mapping[str, str] = os.environ,
    timezone_file: Path = Path("/etc/timezone"),
    localtime: Path = Path("/etc/localtime"),
) -> str | None:
    """The name of the system's time zone, such as Asia/Kolkata; None if it is not known.

    Asked in the C library's order: TZ, then /etc/localtime (a link into the zone files); Debian also keeps
    the name in /etc/timezone.
    """
    known = available_timezones()
    candidates = [environment.get("TZ", "").removeprefix(":")]
    try:
        candidates.append(str(localtime.resolve()).rpartition("/zoneinfo/")[2])
        candidates.append(timezone_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, RuntimeError):
        pass  # another system, or a broken link: then it is not known
    return next((name for name in candidates if name in known and name != "localtime"), None)
