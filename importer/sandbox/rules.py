"""How a sandbox is started, and what a faults file may say: how this tenant is, and what goes wrong in it
(FAULTS.md, with examples).

Everything is checked before anything is served. All mistakes of a file are reported together, each with its
place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
WRONG_KEYS: Final = "Invalid Access Details. AccessKey or SecretKey is incorrect."
RefusalShape = Literal[500, 400, 200, "failed"]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Delay = Annotated[float, Field(ge=0, le=3600)]
Wait = Annotated[float, Field(ge=0, le=600)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Author = Literal["integration", "colleague", "self"]
Moment = Literal["before", "after"]
On = Literal[
    "create", "update", "retrieve", "by-id", "whoami", "permissions", "users", "companies", "activity-type",
    "activity-types", "any", "reads",
]  # fmt: skip
READS: Final[tuple[On, ...]] = ("retrieve", "by-id")
BodyName = Literal[
    "normal", "no-id", "empty", "garbage", "html", "bom", "gzip", "truncated", "cut-chunk", "not-http",
    "huge", "mx",
]  # fmt: skip


class FaultsError(ValueError):
    """A faults file cannot be used. `str()` names the file and every mistake in it."""


class Strict(BaseModel):
    """Unknown keys are mistakes; times may be whole numbers, but texts are never numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _lower_guid(given: str) -> str:
    if not GUID.fullmatch(given):
        raise ValueError(f"'{given}' is not a GUID")
    return given.lower()


Guid = Annotated[str, AfterValidator(_lower_guid)]


class FieldRule(Strict):
    """What the tenant knows about one activity field; without a rule a field takes any text. name: as people
    see it."""

    type: Literal[
        "text", "number", "date", "datetime", "dropdown", "multi-select", "boolean", "user", "phone",
        "product", "file",
    ] = "text"  # fmt: skip
    name: str = ""
    required: bool = False
    values: tuple[str, ...] = ()
    max_length: Positive | None = None


class ReadBack(Strict):
    """A field (or `note`) that comes back otherwise than it was sent, beyond the usual respelling."""

    field: str
    change: Literal["trim", "upper", "lower", "truncate", "drop", "set"]
    length: Positive = 10
    value: str = ""

    def applied(self, text: str) -> str:
        """What is returned for `text`; an empty field is absent."""
        changed = {"trim": text.strip(), "upper": text.upper(), "lower": text.lower(), "drop": ""}
        return {**changed, "set": self.value}.get(self.change, text[: self.length])


class TenantRules(Strict):
    """How this tenant is. The defaults take any account, user and activity type, and refuse as documented."""

    events: tuple[Positive, ...] | None = None
    missing_accounts: frozenset[Guid] = frozenset()
    users: tuple[str, ...] = ()
    former_users: tuple[str, ...] = ()
    accounts: dict[str, tuple[str, ...]] = {}
    fields: dict[str, FieldRule] = {}
    unknown_fields: Literal["refuse", "drop", "keep"] = "refuse"
    refusals_as: RefusalShape = 500
    rate_refusals_as: Literal[429, 200, 403] = 429
    retry_after: Annotated[float, Field(ge=0)] | Literal["none", "seconds", "date"] = "none"
    spelling: Literal["mixed", "plain"] = "mixed"
    read_back: tuple[ReadBack, ...] = ()
    update_leaves_out: Literal["keep", "empty"] = "keep"
    activity_types: Literal["refused", "answered"] = "refused"
    clock_offset_s: Annotated[float, Field(ge=-86_400, le=86_400)] = 0.0
    daily_quota: Positive | None = None
    right_host: str | None = None
    query_keys: Literal["accepted", "lose-writes", "refused"] = "accepted"
    creates: Literal["allowed", "refused"] = "allowed"
    reads: Literal["allowed", "refused"] = "allowed"
    lag_s: Seconds | tuple[Seconds, Seconds] | None = None


class Match(Strict):
    """Which calls a fault hits: all that is given must hold.

    on: kinds of call. chance: of those, how many (seeded). nth: the first, fifth, … of them; every: each such
    one. attempt: how often this very body has come, counted from 1. account, event, note_has, field: what the
    body says. from_s, until_s: seconds since the start. times: at most so often.
    """

    on: tuple[On, ...] = ("create",)
    chance: Share = 1.0
    nth: tuple[Positive, ...] | None = None
    every: Positive | None = None
    attempt: tuple[Positive, ...] | None = None
    account: str | None = None
    event: int | None = None
    note_has: str = ""
    field: dict[str, str] = {}
    from_s: Seconds = 0.0
    until_s: Seconds | None = None
    times: Positive | None = None

    @field_validator("on", "nth", "attempt", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return given if isinstance(given, list | tuple) or given is None else (given,)

    @model_validator(mode="after")
    def _window_makes_sense(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError("until_s must be greater than from_s")
        return self


class AnswerFault(Match):
    """Another status, another body, or both. commit: whether the activity is created all the same; a good
    status without it is a success that changed nothing (observed)."""

    do: Literal["answer"]
    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: BodyName | None = None
    text: str | None = None
    headers: dict[str, str] = {}
    commit: bool | None = None

    @property
    def commits(self) -> bool:
        """Unless said: a good status means that it was done."""
        return self.status < 300 if self.commit is None else self.commit


class RefuseFault(Match):
    """A refusal with an exception of choice."""

    model_config = ConfigDict(populate_by_name=True)

    do: Literal["refuse"]
    exception: str = "MXInvalidInputException"
    message: str = "Invalid input."
    shape: RefusalShape | None = Field(default=None, alias="as")


class ThrottleFault(Match):
    """A refusal for the rate, whatever the real rate. limit: what the message states."""

    do: Literal["throttle"]
    status: Literal[429, 200, 403] = 429
    limit: str | None = None
    retry_after: Annotated[float, Field(ge=0)] | Literal["date"] | None = None
    message: str | None = None


class RedirectFault(Match):
    """Another address."""

    do: Literal["redirect"]
    status: Literal[301, 302, 303, 307, 308] = 302
    to: str


class DropFault(Match):
    """The connection ends without an answer. reset: with RST, else with FIN."""

    do: Literal["drop"]
    commit: bool = False
    reset: bool = True


class HangFault(Match):
    """No answer for so long; then the connection is dropped."""

    do: Literal["hang"]
    commit: bool = False
    seconds: Wait = 600.0


class SlowFault(Match):
    """The right answer, late. commit: before the wait, or after it (perhaps when its caller gave up)."""

    do: Literal["slow"]
    seconds: Wait
    commit: Moment = "before"


class HoldFault(Match):
    """The right answer, once it is let go (`release`), or after so long."""

    do: Literal["hold"]
    seconds: Wait = 600.0
    commit: Moment = "before"


class DripFault(Match):
    """The right answer, byte by byte over so many seconds; status line and headers too."""

    do: Literal["drip"]
    seconds: Wait


class RevokeFault(Match):
    """The keys are revoked, or their user deactivated (message): 401 from this call on."""

    do: Literal["revoke"]
    message: str = WRONG_KEYS


class Change(Strict):
    """What somebody else does to an activity: fields to set, null empties one; no note leaves the note."""

    note: str | None = None
    fields: dict[str, str | None] = {}

    def applied(self, note: str, fields: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Note and fields afterwards."""
        changed = {**fields, **self.fields}
        left = {name: value for name, value in changed.items() if value is not None}
        return note if self.note is None else self.note, left


class ForeignFault(Match, Change):
    """Another integration writes the same, or nearly the same, activity at the time of a Create.

    It does not decide what becomes of the call: later rules are looked at too. by: whose keys it uses.
    """

    do: Literal["foreign"]
    when: Moment = "before"
    by: Author = "integration"
    copies: Annotated[int, Field(ge=1, le=100)] = 1


class IncompleteFault(Match):
    """A reading that lacks some activities although RecordCount counts them."""

    do: Literal["incomplete"]
    on: tuple[On, ...] = ("retrieve",)
    missing: Positive = 1


class StaleFault(Match):
    """A reading as it would have been so many seconds ago."""

    do: Literal["stale"]
    on: tuple[On, ...] = READS
    seconds: Seconds


Fault = Annotated[
    AnswerFault | RefuseFault | ThrottleFault | RedirectFault | DropFault | HangFault | SlowFault | DripFault
    | HoldFault | RevokeFault | ForeignFault | IncompleteFault | StaleFault,
    Field(discriminator="do"),
]  # fmt: skip


class OtherClient(Strict):
    """Somebody else's calls that fill the tenant's window: a steady share of it, or bursts."""

    share: Share | None = None
    burst: Positive | None = None
    every_s: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    from_s: Seconds = 0.0
    until_s: Seconds | None = None
    polite: bool = True

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.share is None) == (self.burst is None):
            raise ValueError("give either share or burst")
        return self


class Existing(Strict):
    """An activity that is there from the start."""

    account: Guid
    event: Positive
    note: str = ""
    fields: dict[str, str] = {}
    age_s: Seconds = 3600.0
    by: Author = "colleague"
    copies: Annotated[int, Field(ge=1, le=100_000)] = 1


class Edited(Change):
    """An activity that somebody changes by hand."""

    id: Guid
    by: Author = "colleague"


class FaultsFile(Strict):
    """The whole of a faults file. seed: of every chance in it, unless the sandbox was given one."""

    seed: int | None = None
    tenant: TenantRules = TenantRules()
    faults: tuple[Fault, ...] = ()
    other_clients: tuple[OtherClient, ...] = ()
    existing: tuple[Existing, ...] = ()


class SandboxOptions(Strict):
    """Defaults make a rehearsal behave like the real thing: the largest plan, its penalty, some latency.

    port: 0 takes a free one. rate: `25/5`, or `none`. penalty_s: how long every call is refused after it.
    latency_s: what the tenant takes to answer; a Create is committed half-way.
    jitter_s: a further delay of at most so long before a call arrives. lag_s: until reads see what was
    created.
    faults: a faults file's content. seed: makes every chance reproducible.
    store: file that keeps what was created; None keeps it in memory only.
    any_account: it says that it has a million accounts, so that callers ask for each of theirs by name.
    organisation: the tenant's short code. access_key, secret_key: made up when None.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    rate: str = "25/5"
    penalty_s: Delay = 5.0
    latency_s: Delay = 0.1
    jitter_s: Delay = 0.05
    lag_s: Delay = 0.0
    faults: FaultsFile = FaultsFile()
    seed: int | None = None
    store: Path | None = None
    any_account: bool = False
    organisation: str = "sandbox"
    access_key: str | None = None
    secret_key: str | None = None


def read_faults(given: Any, name: str) -> FaultsFile:  # noqa: ANN401 - whatever YAML or JSON can say
    """A faults file's content, checked. Raises FaultsError with every mistake."""
    try:
        return FaultsFile.model_validate({} if given is None else given)
    except ValidationError as error:
        mistakes = [f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()]
        raise FaultsError(f"{name}: " + "; ".join(mistakes)) from None


def load_faults(path: Path) -> FaultsFile:
    """A faults file, YAML or JSON. Raises FaultsError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig")
        content = YAML(typ="safe", pure=True).load(text)
    except OSError as error:
        raise FaultsError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FaultsError(f"{path}: is not UTF-8 text") from None
    except YAMLError as error:
        raise FaultsError(f"{path}: is neither YAML nor JSON ({' '.join(str(error).split())})") from None
    return read_faults(content, str(path))


def _place(location: tuple[int | str, ...]) -> str:
    """`faults[2].seconds`, counted from 1 as a person would; without the kind of fault, and without
    pydantic's names of a union's members, which are no keys."""
    if location[:1] == ("faults",):
        location = (*location[:2], *location[3:])
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part + 1}]"
        elif part.isidentifier() and part != "float":
            place += f".{part}" if place else part
    return place or "the file"
