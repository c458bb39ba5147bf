"""What an operator may set between two starts: one table for file, environment, command line, help and documents.

Each field of a section is one setting: its type says what is allowed, its default what holds when nobody says anything,
its description what it means. ``server.port`` stands as ``port`` under ``[server]`` in market.toml and as
``JINSHA_SERVER_PORT`` in the environment; those of ``Start`` say where the rest is found, and have no section in their
names (``JINSHA_FOLDER``). The command line goes before the environment, which goes before the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, inspect

PREFIX = "JINSHA_"

ELSEWHERE = frozenset({"JINSHA_CACHE"})
"""Variables that other parts of Jinsha read by themselves."""

Count = Annotated[int, Meta(ge=1, le=10**9)]
Whole = Annotated[int, Meta(ge=0, le=10**9)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Url = Annotated[str, Meta(pattern=r"^[a-z0-9+]+://.+")]


class SettingsError(ValueError):
    """A setting is not what it should be; the message names it, its value, and what was expected."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True, omit_defaults=True):
    """Base of the settings' tables; what is at its default is not written to a file."""


class Start(Section, frozen=True):
    """Where a server finds its market. Not in market.toml, which is found by it."""

    folder: Annotated[str, Meta(min_length=1, description="the market's folder")] | None = None
    database_url: Annotated[Url, Meta(description="postgresql://... instead of market.db in the folder")] | None = None
    chain_url: (
        Annotated[Url, Meta(description="an EVM network instead of the embedded chain: its nodes' URLs, with commas")]
        | None
    ) = None
    clock: Annotated[
        str, Meta(min_length=1, description="`wall`, or `manual:2026-07-01T00:00:00Z`, moved by the operator")
    ] = "wall"


class Server(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port to listen on; 0 takes any free one")] = 8420
    gateways: Annotated[
        int, Meta(ge=0, le=64, description="processes that speak HTTP and verify signatures; 0 lets the market do it")
    ] = 0
    queue_bound: Annotated[Count, Meta(description="orders that may wait for the sequencer; more are answered 503")] = (
        20_000
    )
    requests: Annotated[Count, Meta(description="requests under way at once; more are answered 503, cancels never")] = (
        1_000
    )
    reads_waiting: Annotated[
        Count, Meta(description="reads (lists, books) that may wait for their turn; more are answered 503")
    ] = 200
    connections: Annotated[Count, Meta(description="connections open at once, streams among them")] = 3_500
    connections_per_address: Annotated[
        Count, Meta(description="connections of one address; trusted proxies may have any number")
    ] = 1_000
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="addresses of proxies whose X-Forwarded-For tells who asks")
    ] = ()
    head_s: Annotated[Count, Meta(description="a request's head must have arrived this long after it began")] = 10
    body_s: Annotated[Count, Meta(description="a request's body must have arrived this long after its head")] = 20
    order_bytes: Annotated[Count, Meta(description="largest body of an order")] = 2**14
    batch_bytes: Annotated[Count, Meta(description="largest body of a batch of orders")] = 2**20
    readings_bytes: Annotated[Count, Meta(description="largest body of readings")] = 8 * 2**20
    body_bytes: Annotated[Count, Meta(description="largest body of any other request")] = 2**20
    keep_alive_s: Annotated[Count, Meta(description="an idle connection is closed after this long")] = 75
    stop_s: Annotated[
        Count, Meta(description="after the notice, the server has ended this long later at the latest")
    ] = 30
    stop_notice_s: Annotated[
        Whole, Meta(description="told to stop, it goes on serving for so long, while /readyz says `stopping`")
    ] = 0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="lines below this are not logged")
    ] = "info"
    log_every: Annotated[Whole, Meta(description="of requests that went well every so many-th is logged; 0 none")] = 1
    webhooks_inside: Annotated[
        bool,
        Meta(description="webhooks may go to private and loopback addresses, and over plain HTTP; only for trying out"),
    ] = False
    webhook_s: Annotated[Count, Meta(description="a webhook that has not answered after this long is tried again")] = 10
    session_s: Annotated[Count, Meta(description="how long a log-in lasts")] = 3600
    relying_party: Annotated[str, Meta(min_length=1, description="domain that passkeys are for")] = "localhost"
    origin: Annotated[
        str, Meta(pattern=r"^https?://[^/]+$", description="address of the pages that use passkeys, without a path")
    ] = "http://localhost:8420"


class Limits(Section, frozen=True):
    """What each member may do unless its own controls say otherwise, and each address that has not logged in.

    Messages are orders, those of a batch each for itself; cancels are counted apart at the same pace.
    """

    open_orders: Annotated[Count, Meta(description="open orders of a member")] = 10_000
    batch_orders: Annotated[int, Meta(ge=1, le=1000, description="orders in one batch")] = 1_000
    messages_per_s: Annotated[Count, Meta(description="orders of a member in the long run; more are answered 429")] = (
        1_000
    )
    collar: Annotated[
        str,
        Meta(pattern=r"^([0-9]+(\.[0-9]+)?)?$", description="CNY/kWh that a price may be from its slot's last trades"),
    ] = ""
    message_burst: Annotated[Count, Meta(description="orders of a member at once")] = 10_000
    stranger_posts_per_s: Annotated[
        Count, Meta(description="POSTs of an address without a log-in, in the long run; more are answered 429")
    ] = 100
    stranger_post_burst: Annotated[Count, Meta(description="POSTs of an address without a log-in, at once")] = 2_000


class Streams(Section, frozen=True):
    """Limits of WebSocket streams."""

    connections: Annotated[Count, Meta(description="streams open at once")] = 2_000
    connections_per_member: Annotated[Count, Meta(description="streams of one member")] = 20
    subscriptions: Annotated[Count, Meta(description="subscriptions of one stream")] = 64
    in_flight: Annotated[Count, Meta(description="orders and cancels of one stream that are not answered yet")] = 500
    message_bytes: Annotated[Count, Meta(description="largest message that is read")] = 2**20
    waiting_bytes: Annotated[Count, Meta(description="a reader that lets more wait is closed")] = 4 * 2**20
    waiting_messages: Annotated[Count, Meta(description="a reader that lets more wait is closed")] = 10_000
    heartbeat_s: Annotated[Count, Meta(description="a reader that has not answered a ping by the next is closed")] = 20


class Network(Section, frozen=True):
    """How an EVM network is spoken to; the embedded chain needs none of it."""

    confirmations: Annotated[
        Whole, Meta(description="blocks on top of one before it counts; 0 where blocks are final at once, as with QBFT")
    ] = 0
    timeout_s: Annotated[
        Count, Meta(description="a node that has not answered after this long is left for the next")
    ] = 30
    lag_blocks: Annotated[
        Count, Meta(description="a node this far behind the highest is asked only when no other answers")
    ] = 5


class Credit(Section, frozen=True):
    """How members are scored."""

    card: Annotated[
        str,
        Meta(description="file of a scorecard, as `jinsha score fit` writes it; empty: the expert's, which ships"),
    ] = ""


class RegistrySettings(Section, frozen=True):
    """Where the registry of movable-property financing is asked."""

    folder: Annotated[
        str, Meta(description="searches and registrations as files (finance/registry_folder.py); empty: no registry")
    ] = ""


class FapiaoSettings(Section, frozen=True):
    """What is asked of a receivable's tax invoice."""

    folder: Annotated[
        str, Meta(description="the tax office's answers as files (finance/fapiao.py); empty: nothing is verified")
    ] = ""
    need: Annotated[
        Literal["no", "recorded", "verified"], Meta(description="what must be true of it before a listing")
    ] = "no"


SECTIONS: Mapping[str, type[Section]] = {
    "": Start,
    "server": Server,
    "limits": Limits,
    "streams": Streams,
    "network": Network,
    "credit": Credit,
    "registry": RegistrySettings,
    "fapiao": FapiaoSettings,
}

_SECRET = frozenset({"database_url", "chain_url"})
"""May carry a password: told only whether they are set."""


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    section: str
    field: str
    kind: Any
    default: object
    meaning: str
    expected: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.field}" if self.section else self.field

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()

    @property
    def is_secret(self) -> bool:
        return self.field in _SECRET

    def read(self, text: str, place: str) -> object:
        """A value given as text. Raises SettingsError, which does not repeat what may be secret."""
        given: object = text
        if isinstance(_bare(self.kind), inspect.VarTupleType):
            given = [item.strip() for item in text.split(",") if item.strip()]
        try:
            return msgspec.convert(given, self._annotation, strict=False)
        except msgspec.ValidationError as error:
            shown = "what it is set to" if self.is_secret else repr(text)
            raise SettingsError(f"{place}: {shown} will not do; expected {self.expected}") from error

    @property
    def _annotation(self) -> Any:
        return next(f.type for f in msgspec.structs.fields(SECTIONS[self.section]) if f.name == self.field)


class Given(NamedTuple):
    """A value that somebody set, and where: a variable's name, ``command line``, ``market.toml``."""

    value: object
    source: str


def table() -> list[Setting]:
    """Every setting, in the order in which documents show them."""
    return [setting for name, section in SECTIONS.items() for setting in _settings_of(name, section)]


def _settings_of(name: str, section: type[Section]) -> Iterable[Setting]:
    described = inspect.type_info(section)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        meaning = _meaning(field.type)
        assert meaning, f"{name}.{field.name} says nothing of itself"
        yield Setting(name, field.name, field.type, field.default, meaning, _expected(_bare(field.type)))


def _meaning(kind: Any) -> str:
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, map(_meaning, kind.types)), "")
    return str((kind.extra_json_schema or {}).get("description", "")) if isinstance(kind, inspect.Metadata) else ""


def _bare(kind: Any) -> Any:
    """A type without its description, and without None."""
    if isinstance(kind, inspect.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _expected(kind: Any) -> str:
    """What is allowed, in words."""
    match kind:
        case inspect.IntType():
            return f"a whole number from {kind.ge:,} to {kind.le:,}"
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
        case inspect.VarTupleType():
            return "a list, separated by commas"
        case inspect.StrType(pattern=str()):
            return "a URL"
    return "text"


# -------------------------------------------------------------------------------------------------- reading


def from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """What the environment sets, by setting's name. Raises SettingsError on a bad value or an unknown variable."""
    by_variable = {setting.variable: setting for setting in table()}
    found = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in ELSEWHERE:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            raise SettingsError(f"{variable}: there is no such setting{_suggestion(variable, by_variable)}")
        found[setting.name] = Given(setting.read(text, variable), variable)
    return found


def _suggestion(variable: str, known: Iterable[str]) -> str:
    near = get_close_matches(variable, [*known, *ELSEWHERE], 1, 0.4)
    return f"; did you mean {near[0]}?" if near else "; 'jinsha settings' lists all"


def from_options(options: Mapping[str, str | None]) -> dict[str, Given]:
    """What the command line sets, by setting's name. Raises SettingsError."""
    by_name = {setting.name: setting for setting in table()}
    return {
        name: Given(by_name[name].read(text, f"--{by_name[name].field}"), "command line")
        for name, text in options.items()
        if text is not None
    }


def start_of(given: Mapping[str, Given]) -> Start:
    """Where the market is found."""
    return msgspec.convert({field: given[field].value for field in Start.__struct_fields__ if field in given}, Start)


def over(raw: Mapping[str, Any], given: Mapping[str, Given]) -> dict[str, Any]:
    """A file's tables with what is given put over them."""
    merged = dict(raw)
    for setting in table():
        if setting.section and setting.name in given:
            merged[setting.section] = {**merged.get(setting.section, {}), setting.field: given[setting.name].value}
    return merged
