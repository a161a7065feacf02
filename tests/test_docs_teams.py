"""README's "For teams", pasted against a fresh server as an administrator and two colleagues would."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from conftest import Importer
from readme_made import readme
from stores import batch_id, published, server_url, url_of

from importer.errors import StoreUnusableError
from importer.store.store import open_store

NAME = f"importer_docs_{os.getpid()}"
ROLES = {role: f"{role}_{os.getpid()}" for role in ("importer_team", "importer_admin", "ana")}


def statements() -> tuple[list[str], list[str]]:
    """The SQL before and after `\\connect`, with names of the test's own."""
    (sql,) = re.findall(r"```sql\n(.*?)```", readme(), re.DOTALL)
    sql = re.sub(r"--[^\n]*", "", sql)
    for role, own in ROLES.items():
        sql = re.sub(rf"\b{role}\b", own, sql)
    sql = re.sub(r"\b(DATABASE|connect) importer\b", rf"\1 {NAME}", sql)
    before, after = sql.split(f"\\connect {NAME}")
    return [each for each in before.split(";") if each.strip()], [
        each for each in after.split(";") if each.strip()
    ]


def url_for(role: str) -> str:
    """The database's address for one of README's roles. The test's server trusts everybody."""
    parts = urlsplit(url_of(NAME))
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("postgres:@", f"{ROLES[role]}@")))


@pytest.fixture
def pasted() -> Iterator[None]:
    before, after = statements()
    with psycopg.connect(server_url(), autocommit=True) as connection:
        for statement in before:
            connection.execute(statement)
    try:
        with psycopg.connect(url_of(NAME), autocommit=True) as connection:
            for statement in after:
                connection.execute(statement)
        yield
    finally:
        with psycopg.connect(server_url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{NAME}" WITH (FORCE)')
            for role in reversed(ROLES.values()):
                connection.execute(f'DROP ROLE "{role}"')


@pytest.mark.skipif("IMPORTER_TEST_POSTGRES" in os.environ, reason="needs a server that trusts new roles")
def test_what_readme_says_is_enough_and_not_more(
    pasted: None, importer: Importer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ana can do all that the importer does, but not make tables: that is said to her with whom to ask."""
    with pytest.raises(StoreUnusableError, match="administrator"):
        open_store(tmp_path, url_for("ana"))
    monkeypatch.setenv("IMPORTER_STORE", url_for("importer_admin"))
    made = importer("store", "--json")
    assert made.exit == 0, made.stderr
    monkeypatch.setenv("IMPORTER_STORE", url_for("ana"))
    with open_store(tmp_path, url_for("ana")) as store:
        with published(store) as owned, owned.change() as change:
            change.keep_facts(seconds=1.0)
            assert change.duplicates(change.rows.batch(), [1]).overlap().held == 0
        store.own(batch_id(1)).close()
        store.pace("a tenant").close()
        store.keep_fact("keys digest", "a tenant")
    assert importer("store", "--json").json["batches"] == 1
    assert importer("erase", batch_id(1), "--yes").exit == 0
    with psycopg.connect(url_for("ana")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE another (a integer)")
