"""A LeadSquared tenant on loopback: rehearsals, demonstrations and tests use the same one.

    SandboxOptions   how it is started
    Sandbox          serves one: `async with Sandbox(options) as sandbox`
    serve            serves one until cancelled
    load_faults      a faults file (FAULTS.md), checked; FaultsError if it cannot be used

It imports nothing of the importer.
"""

from __future__ import annotations

from importer.sandbox.rules import FaultsError, FaultsFile, SandboxOptions, load_faults, read_faults
from importer.sandbox.server import Sandbox, serve

__all__ = ["FaultsError", "FaultsFile", "Sandbox", "SandboxOptions", "load_faults", "read_faults", "serve"]
