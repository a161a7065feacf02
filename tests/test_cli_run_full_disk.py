"""A disk that is full before the first POST: exit 2, nothing sent, nothing left."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import visits
from conftest import Importer, RunningTenant, child_environment, importer_command
from visits import write_csv, write_mapping

from importer.app import plan, results_file
from importer.errors import StoreError

resource = pytest.importorskip("resource", reason="limits of a process are a thing of Unix")


@pytest.mark.parametrize("kilobytes", [40, 150, 400, 1100])
def test_a_disk_that_is_full_while_staging_or_letting_in(
    tenant: RunningTenant, home: Path, kilobytes: int
) -> None:
    """No file may grow beyond so much: the store or the results file hits it first."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(4_000))
    most = kilobytes * 1024
    done = subprocess.run(
        importer_command("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json"),
        env=child_environment({"PYTHONDONTWRITEBYTECODE": "1"}), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        timeout=60,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, set(told)) == (2, {"error", "error_code", "exit"}), done.stderr
    assert told["error_code"] in {"store", "disk"}
    assert "Unexpected" not in told["error"]
    assert tenant.creates == []
    assert visits.left_behind(home) == []


def test_a_disk_that_is_full_right_after_the_results_file(
    importer: Importer, tenant: RunningTenant, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store cannot keep where the file is: the file goes too, and the next run finds nothing of it."""
    write = results_file.write_results_file

    def write_and_fail(*arguments: Any, **options: Any) -> Path:
        write(*arguments, **options)
        raise StoreError("The store could not be used: database or disk is full.")

    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(2))
    with monkeypatch.context() as patch:
        patch.setattr(plan, "write_results_file", write_and_fail)
        result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, tenant.creates) == (2, [])
    assert visits.left_behind(home) == []
    assert importer("run", "visits.csv", "-m", "visits.yaml", "--yes").exit == 0
