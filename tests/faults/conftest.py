"""An import to any tenant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant

from faults.batch import Import

Begin = Callable[[RunningTenant], Import]


@pytest.fixture
def begin(importer: Importer, tmp_path: Path) -> Begin:
    """An import that sends to a tenant."""
    return lambda tenant: Import(importer, tenant, tmp_path)
