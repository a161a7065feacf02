"""`whoami`, `login`, `logout`: whose keys these are, and where they are kept."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant, StartTenant, child_environment

KEYRING = '''
import json, os
from keyring.backend import KeyringBackend

class Kept(KeyringBackend):
    """A keyring for one test, encrypted by nobody but trusted by its module's name."""

    priority = 9
    path = os.environ["TEST_KEYRING"]

    def _read(self):
        return json.load(open(self.path)) if os.path.exists(self.path) else {}

    def get_password(self, service, username):
        return self._read().get(service + username)

    def set_password(self, service, username, password):
        entries = {**self._read(), service + username: password}
        with open(self.path, "w") as file:
            json.dump(entries, file)

    def delete_password(self, service, username):
        with open(self.path, "w") as file:
            json.dump({}, file)
'''


def test_whoami_names_user_organisation_and_host(importer: Importer, tenant: RunningTenant) -> None:
    """The answer of the tenant, for a program."""
    result = importer("whoami", "--json")

    assert (result.exit, result.json["exit"]) == (0, 0)
    assert (result.json["org_code"], result.json["host"]) == ("sandbox", tenant.url)
    assert result.json["user"]


def test_whoami_for_a_person(importer: Importer, tenant: RunningTenant) -> None:
    """A few lines on stdout, none of them a key."""
    result = importer("whoami")

    assert (result.exit, tenant.url in result.stdout) == (0, True)
    assert tenant.sandbox.secret_key not in result.stdout + result.stderr
    assert tenant.sandbox.access_key not in result.stdout + result.stderr


def test_whoami_of_the_embedded_sandbox_needs_no_keys(importer: Importer) -> None:
    """`--sandbox`: nothing to configure."""
    result = importer("whoami", "--sandbox", "--json")

    assert (result.exit, result.json["org_code"]) == (0, "sandbox")


def test_whoami_without_keys_says_what_to_set(importer: Importer) -> None:
    """Exit code 2; every missing variable is named, and so is the rehearsal."""
    result = importer("whoami", "--json")

    named = ("LEADSQUARED_HOST", "LEADSQUARED_ACCESS_KEY", "LEADSQUARED_SECRET_KEY", "importer login")
    assert result.exit == 2
    assert [name for name in named if name not in result.json["error"]] == []


def test_whoami_with_wrong_keys(
    importer: Importer, tenant: RunningTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2; the key itself is not repeated."""
    monkeypatch.setenv("LEADSQUARED_SECRET_KEY", "0123456789abcdef")
    result = importer("whoami")

    assert (result.exit, "refused the keys" in result.stderr) == (2, True)
    assert "0123456789abcdef" not in result.stderr


def test_whoami_of_a_tenant_that_is_not_there(importer: Importer, tenant: RunningTenant) -> None:
    """Exit code 2, and the host that was tried."""
    tenant.stop()
    result = importer("whoami")

    assert (result.exit, tenant.url.removeprefix("http://") in result.stderr) == (2, True)


def test_plain_http_to_another_computer_is_refused(importer: Importer, tenant: RunningTenant) -> None:
    """The keys would travel in clear."""
    result = importer("whoami", "--host", "http://api.leadsquared.com")

    assert (result.exit, "https" in result.stderr, tenant.calls) == (2, True, [])


def test_every_call_is_in_the_log_without_keys(importer: Importer, tenant: RunningTenant, home: Path) -> None:
    """For support: what was asked and what came back; never the keys."""
    importer("whoami")
    log = (home / "logs" / "importer.log").read_text(encoding="utf-8")

    assert " 200 " in log
    assert tenant.sandbox.access_key not in log
    assert tenant.sandbox.secret_key not in log


def test_login_without_a_terminal_is_refused(importer: Importer) -> None:
    """Keys are typed, hidden, or come from the environment; they are never flags."""
    result = importer("login", "--host", "api.leadsquared.com", "--json")

    assert (result.exit, "LEADSQUARED_ACCESS_KEY" in result.json["error"]) == (2, True)


def test_logout_without_kept_keys(importer: Importer) -> None:
    """Nothing to remove is no error."""
    result = importer("logout", "--json")

    assert result.json == {"removed": False, "exit": 0}


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keyring of the test's own, for child processes; the file that stands for it."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "kept_keyring.py").write_text(KEYRING, encoding="utf-8")
    kept = tmp_path / "keyring.json"
    monkeypatch.setenv("TEST_KEYRING", str(kept))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "kept_keyring.Kept")
    return kept


def _typed(arguments: list[str], answers: list[str], modules: Path) -> tuple[int, str]:
    """Run a command at a pseudo-terminal, typing an answer whenever it asks; exit code and what it showed."""
    import pty

    environment = child_environment()
    environment["PYTHONPATH"] += os.pathsep + str(modules)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "importer", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as child:
        os.close(theirs)
        shown = ""
        left = list(answers)
        for _ in range(1_000):
            ready, _, _ = select.select([ours], [], [], 30)
            if not ready:
                child.kill()
            try:
                shown += os.read(ours, 4096).decode("utf-8")
            except OSError:
                break
            if left and shown.endswith(": "):
                os.write(ours, f"{left.pop(0)}\n".encode())
        code = child.wait(timeout=60)
    os.close(ours)
    return code, shown


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_login_tries_the_keys_and_keeps_them_and_logout_removes_them(
    start_tenant: StartTenant, keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed is not shown; afterwards whoami needs nothing from the environment."""
    tenant = start_tenant()
    for name in tenant.environment():
        monkeypatch.delenv(name)
    modules = keyring.parent / "modules"
    keys = [tenant.sandbox.access_key, tenant.sandbox.secret_key]

    code, shown = _typed(["login", "--host", tenant.url], keys, modules)
    assert (code, "are kept in" in shown, [key for key in keys if key in shown]) == (0, True, []), shown

    code, shown = _typed(["whoami"], [], modules)
    assert (code, "keyring" in shown) == (0, True)

    code, shown = _typed(["logout"], [], modules)
    assert (code, "removed" in shown, keyring.read_text(encoding="utf-8")) == (0, True, "{}")


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_login_keeps_nothing_that_the_tenant_refuses(
    start_tenant: StartTenant, keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong keys end with 2 and are kept nowhere."""
    tenant = start_tenant()
    for name in tenant.environment():
        monkeypatch.delenv(name)
    code, shown = _typed(
        ["login", "--host", tenant.url], ["u$rwrong", "0123456789"], keyring.parent / "modules"
    )

    assert (code, "refused the keys" in shown, keyring.exists()) == (2, True, False)
