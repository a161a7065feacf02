"""What a faults file may say: how this tenant is, and what goes wrong in it (FAULTS.md, with examples).

Everything is checked before anything is served. All mistakes of a file are reported together, each with its
place.
"""

from __future__ import annotations

import re
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

from importer.sandbox.wire import GUID, WRONG_KEYS, RefusalShape

HOLD_MAX_S: Final = 600.0
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Wait = Annotated[float, Field(ge=0, le=HOLD_MAX_S)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
CallKind = Literal[
    "create", "update", "retrieve", "by-id", "whoami", "permissions", "users", "companies", "activity-type",
    "activity-types",
]  # fmt: skip
READS: Final[tuple[CallKind, ...]] = ("retrieve", "by-id")
On = CallKind | Literal["any", "reads"]
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

    def applied(self, text: str | None) -> str | None:
        """What is returned for `text`; None for a field that is absent."""
        if self.change == "set":
            return self.value
        if text is None or self.change == "drop":
            return None
        changed = {"trim": text.strip(), "upper": text.upper(), "lower": text.lower()}
        return changed.get(self.change, text[: self.length])


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
    note_has: str | None = None
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
    seconds: Wait = HOLD_MAX_S


class SlowFault(Match):
    """The right answer, late. commit: before the wait, or after it (perhaps when its caller gave up)."""

    do: Literal["slow"]
    seconds: Wait
    commit: Literal["before", "after"] = "before"


class DripFault(Match):
    """The right answer, byte by byte over so many seconds; status line and headers too."""

    do: Literal["drip"]
    seconds: Wait


class HoldFault(Match):
    """The right answer, once it is let go (`release`). commit: before the wait, or after it."""

    do: Literal["hold"]
    commit: Literal["before", "after"] = "before"
    seconds: Wait = HOLD_MAX_S


class RevokeFault(Match):
    """The keys are revoked, or their user deactivated (message): 401 from this call on."""

    do: Literal["revoke"]
    message: str = WRONG_KEYS


class ForeignFault(Match):
    """Another integration writes the same, or nearly the same, activity at the time of a Create.

    It does not decide what becomes of the call: later rules are looked at too. by: whose keys it uses.
    """

    do: Literal["foreign"]
    when: Literal["before", "after"] = "before"
    by: Literal["integration", "colleague", "self"] = "integration"
    note: str | None = None
    fields: dict[str, str | None] = {}
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
    by: Literal["integration", "colleague", "self"] = "colleague"
    copies: Annotated[int, Field(ge=1, le=100_000)] = 1


class Edited(Strict):
    """An activity that somebody changes by hand: fields to set, null empties one; no note leaves the note."""

    id: Guid
    note: str | None = None
    fields: dict[str, str | None] = {}
    by: Literal["integration", "colleague", "self"] = "colleague"


class FaultsFile(Strict):
    """The whole of a faults file. seed: of every chance in it, unless the sandbox was given one."""

    seed: int | None = None
    tenant: TenantRules = TenantRules()
    faults: tuple[Fault, ...] = ()
    other_clients: tuple[OtherClient, ...] = ()
    existing: tuple[Existing, ...] = ()


def read_faults(given: Any, name: str) -> FaultsFile:  # noqa: ANN401 - whatever YAML or JSON can say
    """A faults file's content, checked. Raises FaultsError with every mistake."""
    if given is None:
        return FaultsFile()
    try:
        return FaultsFile.model_validate(given)
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
    """`faults[2].seconds`, counted from 1 as a person would; the kind of fault left out."""
    place = ""
    before: int | str = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part + 1}]"
        elif not (isinstance(before, int) and part in _KINDS) and not _BRANCH.match(part):
            place += f".{part}" if place else part
        before = part
    return place or "the file"


_BRANCH: Final = re.compile(r"(literal|tuple|constrained)\W|float$")  # pydantic's names of a union's members
_KINDS: Final = {
    "answer", "refuse", "throttle", "redirect", "drop", "hang", "slow", "drip",
    "hold", "revoke", "foreign", "incomplete", "stale",
}  # fmt: skip
