"""`importer sandbox`: a tenant on this computer, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant, child_environment, importer_command

ARGUMENTS = ("sandbox", "--rate", "none", "--latency", "0")


@pytest.fixture
def served(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`importer sandbox` in a process of its own, in a process group of its own."""
    with subprocess.Popen(
        importer_command(*ARGUMENTS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    ) as child:
        yield child
        if child.poll() is None:
            child.kill()


def _told(child: subprocess.Popen[str]) -> dict[str, str]:
    """The first three lines: host and keys, as a `.env` file wants them."""
    assert child.stdout is not None
    lines = [child.stdout.readline().strip() for _ in range(3)]
    return dict(line.split("=", 1) for line in lines)


def _organisation(told: dict[str, str]) -> str:
    request = urllib.request.Request(
        f"{told['LEADSQUARED_HOST']}/v2/Authentication.svc/UserByAccessKey.Get",
        headers={
            "x-LSQ-AccessKey": told["LEADSQUARED_ACCESS_KEY"],
            "x-LSQ-SecretKey": told["LEADSQUARED_SECRET_KEY"],
        },
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=180) as answer:
        return str(json.load(answer)["OrgShortCode"])


@pytest.mark.skipif(os.name == "nt", reason="Windows sends its console events to the whole group")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_and_with_which_keys_first_and_serves_until_told_to_stop(
    served: subprocess.Popen[str], number: signal.Signals
) -> None:
    """URL and keys are the first lines; they work at once; Ctrl-C and SIGTERM end it quietly."""
    told = _told(served)
    organisation = _organisation(told)
    served.send_signal(number)
    rest = served.communicate(timeout=180)

    assert (organisation, served.returncode) == ("sandbox", 0)
    assert "Traceback" not in rest[1]


def test_with_json_the_object_comes_at_once(home: Path) -> None:
    """Whoever starts it from a program waits for the URL, not for the end."""
    with subprocess.Popen(
        importer_command(*ARGUMENTS, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=child_environment(),
    ) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        child.terminate()
        rest = child.stdout.read()

    assert (set(told), rest) == ({"url", "access_key", "secret_key", "token", "exit"}, "")


def test_a_port_in_use_is_named(importer: Importer) -> None:
    """Exit code 2, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = importer("sandbox", "--port", str(port))

    assert (result.exit, str(port) in result.stderr, "--port" in result.stderr) == (2, True, True)


def test_a_faults_file_that_makes_no_sense_is_refused(importer: Importer, tmp_path: Path) -> None:
    """Exit code 2 before anything is served."""
    faults = tmp_path / "faults.yaml"
    faults.write_text("faults: [{kind: nonsense}]\n", encoding="utf-8")
    result = importer("sandbox", "--faults", faults)

    assert (result.exit, "faults.yaml" in result.stderr, result.stdout) == (2, True, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rate", "25"),
        ("--rate", "0/5"),
        ("--penalty", "-1"),
        ("--latency", "nan"),
        ("--lag", "inf"),
        ("--port", "65536"),
    ],
)
def test_options_out_of_range_are_refused(importer: Importer, arguments: tuple[str, str]) -> None:
    """Exit code 2, and the option is named."""
    result = importer("sandbox", *arguments)

    assert (result.exit, arguments[0] in result.stderr, result.stdout) == (2, True, "")


def test_the_fixture_tenant_answers(tenant: RunningTenant) -> None:
    """What the tests call the tenant is this sandbox, in a thread."""
    told = tenant.environment()

    assert (_organisation(told), [call.kind for call in tenant.calls]) == ("sandbox", ["whoami"])
