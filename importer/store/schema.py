"""The tables, and what the database itself holds to: checks, and triggers in the words of either database.

What is promised here, the database keeps: a created row has an Id and never goes back (but for an activity
that was deleted in LeadSquared by hand), a row is marked `sending` only from `pending`, a row that may be
sent has an activity, an Id belongs to one row of a tenant. A statement that would break one of these fails,
and with it the run, before anything else leaves.

Steps from one version to the next are in `migrations/`; `tests/test_store_schema.py` holds that they end
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

APPLICATION_ID: Final = 0x4C53_5153
"""`LSQS`, in the header of an embedded store: it is not any other SQLite file."""
VERSIONS: Final = ("0001",)
"""The steps in `migrations/versions`, in order."""

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _batch_key() -> Column[int]:
    return Column("batch", Integer, ForeignKey("batch.key", ondelete="CASCADE"), primary_key=True)


def _of_a_row() -> ForeignKeyConstraint:
    row = ["sheet_row.batch", "sheet_row.position"]
    return ForeignKeyConstraint(["batch", "position"], row, ondelete="CASCADE")


batch: Final = Table(
    "batch",
    metadata,
    Column("key", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text),  # API host and organisation, or `sandbox`; NULL while it is staged
    Column("published", Boolean, nullable=False, server_default=false()),
    Column("rehearsal", Boolean, nullable=False, server_default=false()),
    Column("source", Text, nullable=False, server_default=""),
    Column("content", Text, nullable=False, server_default=""),  # digest of the ordered activities
    Column("source_cells", Text, nullable=False, server_default=""),  # digest of the ordered source cells
    Column("created_at", Text, nullable=False, server_default=""),
    Column("erased_at", Text),  # UTC; NULL while its customer data is here
    Column("owner", BigInteger, nullable=False, server_default="0"),  # counts up with every owner
    Column("owner_name", Text, nullable=False, server_default=""),  # `ana on desk-4`
    Column("owner_seen", Double, nullable=False, server_default="0"),  # heard of last; the store's clock, s
    CheckConstraint("tenant IS NOT NULL OR NOT published", name="published_has_tenant"),
    Index("ix_batch_tenant", "tenant"),
    Index("ix_batch_content", "content"),
    Index("ix_batch_source_cells", "source_cells"),
    sqlite_autoincrement=True,
)

fact: Final = Table(
    "fact",
    metadata,
    _batch_key(),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON
)

lookup: Final = Table(
    "lookup",
    metadata,
    _batch_key(),
    Column("question", Text, primary_key=True),
    Column("answer", Text, nullable=False),
)

row: Final = Table(
    "sheet_row",
    metadata,
    _batch_key(),
    Column("position", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 … in the source's order
    Column("number", Integer, nullable=False),  # the row number that Excel shows
    Column("cells", Text, nullable=False),  # encode_cells()
    Column("activity", LargeBinary),  # Activity.encoded(); NULL while the row is invalid, empty once erased
    Column("problem", Text),  # why the record cannot be trusted as a whole, if so
    Column("status", Integer, nullable=False),  # RowStatus
    Column("doubted", Boolean, nullable=False, server_default=false()),  # an attempt was ever in doubt
    Column("released", Boolean, nullable=False, server_default=false()),  # a person looked: it is not there
    Column("activity_id", Text),
    Column("error_code", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("changed_at", Text, nullable=False),
    Column("fingerprint", LargeBinary),  # activity.fingerprint() of `activity`
    Column("account", Text, nullable=False, server_default=""),  # RelatedCompanyId in lower case
    Column("event", BigInteger),  # ActivityEvent
    Column("taken_batch", Integer),  # the row that created the activity, when this one was taken over
    Column("taken_position", Integer),
    Column("holds", LargeBinary),  # what the activity holds after corrections; NULL: what was sent
    CheckConstraint("status BETWEEN 0 AND 7", name="status"),
    CheckConstraint("(status = 4) = (activity_id IS NOT NULL)", name="created_has_id"),
    CheckConstraint("status > 3 OR activity IS NOT NULL", name="sent_has_activity"),
    CheckConstraint("(activity IS NULL) = (fingerprint IS NULL)", name="activity_has_fingerprint"),
    CheckConstraint(
        "(taken_batch IS NULL) = (taken_position IS NULL) AND (taken_batch IS NULL OR status = 4)",
        name="taken_over_is_created",
    ),
    Index("ix_sheet_row_status", "batch", "status", "position", "event"),
    Index("ix_sheet_row_number", "batch", "number", "position"),
    Index(
        "ix_sheet_row_fingerprint",
        "fingerprint",
        "batch",
        sqlite_where=text("fingerprint IS NOT NULL"),
        postgresql_where=text("fingerprint IS NOT NULL"),
    ),
    Index(
        "ix_sheet_row_taken",
        "batch",
        "taken_batch",
        "taken_position",
        sqlite_where=text("taken_batch IS NOT NULL"),
        postgresql_where=text("taken_batch IS NOT NULL"),
    ),
)

claim: Final = Table(
    "claim",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("activity_id", Text, primary_key=True),  # in lower case, without braces: both are returned
    Column("batch", Integer, ForeignKey("batch.key", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("deleted_at", Text),  # when the activity was found deleted in LeadSquared; the row lost it then
    Index("ix_claim_row", "batch", "position"),
)

attempt: Final = Table(
    "attempt",
    metadata,
    _batch_key(),
    Column("id", Integer, primary_key=True, autoincrement=False),  # counts up within the batch
    Column("position", Integer, nullable=False),
    Column("body", LargeBinary),  # what was sent; NULL while it is still the row's activity
    Column("marked_at", Double, nullable=False),  # Unix seconds, the sender's clock
    Column("clock_difference", Double, nullable=False),  # the tenant's clock minus the sender's, seconds
    Column("stored_at", Double, nullable=False),  # Unix seconds, the store's clock
    Column("left_at", Double),  # its first byte: rows are marked up to a second before
    Column("ended_at", Double),
    Column("http_status", Integer),
    Column("outcome", Text),  # outcomes.Kind; NULL: interrupted
    Column("code", Text),
    Column("detail", Text),
    Column("assumed", Boolean, nullable=False, server_default=false()),
    _of_a_row(),
    Index("ix_attempt_position", "batch", "position", "id"),
)

reading: Final = Table(
    "reading",
    metadata,
    _batch_key(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("read_at", Text, nullable=False),
    Column("differences", Text, nullable=False),  # JSON: [[field, verdict, sent, stored, …], …]; [] is equal
    _of_a_row(),
)

correction: Final = Table(
    "correction",
    metadata,
    _batch_key(),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("replaced", Text),  # what LeadSquared held just before the Update
    Column("undo", Boolean, nullable=False),
    Column("cells", Text, nullable=False),  # the row's once all of its round is corrected
    Column("status", Integer, nullable=False),  # CorrectionStatus
    Column("code", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("changed_at", Text, nullable=False),
    CheckConstraint("status BETWEEN 0 AND 5", name="status"),
    _of_a_row(),
    Index("ix_correction_status", "batch", "status"),
)

pace: Final = Table(  # a line for each run on a tenant (pacing/sharing.py); times: the store's clock
    "pace",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("entry", Text, nullable=False),  # JSON: what the run takes and has learnt, when it was seen
)

store_fact: Final = Table(
    "store_fact",
    metadata,
    Column("name", Text, primary_key=True),  # moved_to; `keys DIGEST`: whose they are
    Column("value", Text, nullable=False),
)

# ---- what checks cannot say -----------------------------------------------------------------------------

_GOES_BACK: Final = (
    "OLD.status = 4 AND (NEW.status <> 4 OR coalesce(NEW.activity_id, '') <> OLD.activity_id"
    " OR coalesce(NEW.taken_batch, -1) <> coalesce(OLD.taken_batch, -1))"
)
_DELETED_BY_HAND: Final = (
    "NEW.status = 0 AND EXISTS (SELECT 1 FROM claim WHERE claim.batch = OLD.batch"
    " AND claim.position = OLD.position AND claim.activity_id = lower(trim(OLD.activity_id, '{}'))"
    " AND claim.deleted_at IS NOT NULL)"
)
_MISTAKEN: Final = (
    "NOT EXISTS (SELECT 1 FROM sheet_row AS creator WHERE creator.batch = NEW.taken_batch"
    " AND creator.position = NEW.taken_position AND creator.status = 4 AND creator.taken_batch IS NULL"
    " AND lower(trim(creator.activity_id, '{}')) = lower(trim(NEW.activity_id, '{}')))"
)
_CLAIM: Final = (
    "INSERT INTO claim (tenant, activity_id, batch, position)"
    " SELECT batch.tenant, lower(trim(NEW.activity_id, '{}')), NEW.batch, NEW.position"
    " FROM batch WHERE batch.key = NEW.batch AND batch.published"
)
_CLAIM_ALL: Final = (
    "INSERT INTO claim (tenant, activity_id, batch, position)"
    " SELECT NEW.tenant, lower(trim(activity_id, '{}')), batch, position FROM sheet_row"
    " WHERE batch = NEW.key AND status = 4 AND taken_batch IS NULL"
)
BACKWARDS: Final = "a created row never goes back"
NOT_PENDING: Final = "only a pending row may be sent"
NOT_CREATED_THERE: Final = "a row is taken over from the row that created it"


class _Trigger(NamedTuple):
    """event: also what it is on. condition: of the rows that it is for. refused: when such a change fails,
    with `does` as the message; None: `does` is a statement."""

    name: str
    event: str
    condition: str
    refused: str | None
    does: str


_CREATED_HERE: Final = "NEW.status = 4 AND NEW.taken_batch IS NULL"
_TRIGGERS: Final = (
    _Trigger(
        "created_never_goes_back", "BEFORE UPDATE ON sheet_row",
        _GOES_BACK, f"NOT ({_DELETED_BY_HAND})", BACKWARDS,
    ),
    _Trigger(
        "sending_only_from_pending", "BEFORE UPDATE OF status ON sheet_row",
        "NEW.status = 1 AND OLD.status <> 0", "true", NOT_PENDING,
    ),
    _Trigger(
        "taken_over_on_insert", "BEFORE INSERT ON sheet_row",
        "NEW.taken_batch IS NOT NULL", _MISTAKEN, NOT_CREATED_THERE,
    ),
    _Trigger(
        "taken_over_on_update", "BEFORE UPDATE OF taken_batch, taken_position ON sheet_row",
        "NEW.taken_batch IS NOT NULL", _MISTAKEN, NOT_CREATED_THERE,
    ),
    _Trigger("claim_on_insert", "AFTER INSERT ON sheet_row", _CREATED_HERE, None, _CLAIM),
    _Trigger(
        "claim_on_update", "AFTER UPDATE OF status ON sheet_row",
        f"{_CREATED_HERE} AND OLD.status <> 4", None, _CLAIM,
    ),
    _Trigger(
        "claim_on_publish", "AFTER UPDATE OF published ON batch",
        "NEW.published AND NOT OLD.published", None, _CLAIM_ALL,
    ),
)  # fmt: skip


def triggers(dialect: str) -> Iterator[str]:
    """The statements that make them, in the words of `sqlite` or `postgresql`."""
    for one in _TRIGGERS:
        if dialect == "sqlite":
            refused = f" AND ({one.refused})" if one.refused else ""
            does = f"SELECT RAISE(ABORT, '{one.does}')" if one.refused else one.does
            yield f"CREATE TRIGGER {one.name} {one.event} WHEN ({one.condition}){refused} BEGIN {does}; END"
            continue
        raising = f"RAISE EXCEPTION '{one.does}' USING ERRCODE = 'check_violation'"
        does = (
            f"IF {one.refused} THEN {raising}; END IF; RETURN NEW"
            if one.refused
            else f"{one.does}; RETURN NULL"
        )
        yield (f"CREATE FUNCTION {one.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; END $$")
        yield (
            f"CREATE TRIGGER {one.name} {one.event} FOR EACH ROW WHEN ({one.condition})"
            f" EXECUTE FUNCTION {one.name}()"
        )


def create_all(connection: Connection) -> None:
    """Tables, then triggers in the words of the database. An embedded store says what it is."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    metadata.create_all(connection)
    for trigger in triggers(dialect):
        connection.exec_driver_sql(trigger)
