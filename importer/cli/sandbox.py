"""`importer sandbox`: serve the sandbox until Ctrl-C."""

from __future__ import annotations

from importer.cli import options
from importer.cli.console import Console
from importer.cli.serving import own_folder, until_stopped
from importer.errors import SettingsError
from importer.sandbox.rules import FaultsError, FaultsFile, SandboxOptions, load_faults
from importer.sandbox.server import Sandbox, serve
from importer.sandbox.tenant import StoreFileError


def sandbox(
    console: Console,
    *,
    port: options.Port = 0,
    faults: options.FaultsFile = None,
    rate: options.SandboxRate = "25/5",
    penalty: options.Penalty = 5.0,
    latency: options.Latency = 0.1,
    lag: options.Lag = 0.0,
) -> int:
    """Serve a LeadSquared tenant on this computer, for rehearsals, until Ctrl-C.

    Prints its URL and keys first. What it created stays in a file under IMPORTER_HOME.

    \b
    Examples:
      importer sandbox
      importer sandbox --port 8080 --rate 10/5 --latency 0.3
      importer sandbox --faults faults.yaml
    """
    own = own_folder(console)
    try:
        simulated = load_faults(faults) if faults else FaultsFile()
    except FaultsError as error:
        raise SettingsError(f"{error}.", remedy="Correct the faults file.") from error
    asked = SandboxOptions(
        port=port,
        faults=simulated,
        rate=rate,
        penalty_s=penalty,
        latency_s=latency,
        lag_s=lag,
        store=own.sandbox / "served",
        any_account=True,
    )
    try:
        until_stopped(serve(asked, on_ready=lambda made: _show_keys(console, made)), "sandbox", port)
    except StoreFileError as error:
        raise SettingsError(
            f"What the sandbox created cannot be kept ({error}).",
            where=str(asked.store),
            remedy="Delete that file, or end the other sandbox that uses it.",
        ) from error
    console.say("The sandbox has stopped.")
    return 0


def _show_keys(console: Console, sandbox: Sandbox) -> None:
    shown = {
        "url": sandbox.url,
        "access_key": sandbox.access_key,
        "secret_key": sandbox.secret_key,
        "token": sandbox.admin_token,
    }
    console.result_now(
        f"LEADSQUARED_HOST={sandbox.url}\n"
        f"LEADSQUARED_ACCESS_KEY={sandbox.access_key}\n"
        f"LEADSQUARED_SECRET_KEY={sandbox.secret_key}",
        shown,
    )
    console.say(
        "Put these lines into the environment, or into a file .env, to send to this sandbox. Ctrl-C ends it."
    )
