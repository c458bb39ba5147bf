"""A market's folder: ``market.toml`` (all that was fixed for it), ``keys/``, ``market.db``, ``chain.db``.

Every value is checked when the folder is opened; what is missing or odd is named with its place in the file. The
server needs one private key, the operator's; of the other institutions the file holds the public keys.
"""

import secrets
import stat
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import UnitError, parse_money_micro, parse_price_ticks
from finance.calendar import LONGEST_TERMS_DAYS
from finance.credit import card
from finance.credit.card import Card, CardError
from market.problems import ProblemError
from market.settings import (
    Credit,
    FapiaoSettings,
    Given,
    Limits,
    Network,
    RegistrySettings,
    Server,
    SettingsError,
    Streams,
    over,
)
from market.timing import Timing
from market.wire import public_key
from matching.order import Rules
from settlement import signatures
from settlement.jwk import Jwk, to_jwk
from settlement.keccak import keccak
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey

INSTITUTIONS = {
    "operator": 1,
    "checker": 2,
    "meter_operator": 3,
    "custodian": 4,
    "grid_company": 5,
    "governance": 6,
    "regulator": 7,
}
"""Roles that exist from genesis, and the member ids of those who hold them first."""

RELAYER = "relayer.hex"
SERVER_SECRET = "server.hex"

_Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class ConfigError(SettingsError):
    """The folder can not be served; the message names file, value and what was expected."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Base of the file's tables. ``dict`` lets properties be cached."""


class CollectionAccount(_Section, frozen=True):
    """Where debtors pay what they owe: the custodian's bank account. Its hash is fixed with the contracts.

    ``bank_code`` is the bank's in CNAPS, twelve digits. All are empty where debtors pay out of their cash here only.
    """

    name: Annotated[str, msgspec.Meta(max_length=140)] = ""
    number: Annotated[str, msgspec.Meta(pattern="^([0-9A-Z]{6,34})?$")] = ""
    bank_name: Annotated[str, msgspec.Meta(max_length=140)] = ""
    bank_code: Annotated[str, msgspec.Meta(pattern="^([0-9]{12})?$")] = ""

    @cached_property
    def hash(self) -> bytes:
        """What the debtor signs of it: keccak of number, bank code, name and bank name, a line each."""
        return keccak(f"{self.number}\n{self.bank_code}\n{self.name}\n{self.bank_name}".encode())


class MarketTerms(_Section, frozen=True):
    time_zone: str
    floor: str
    cap: str
    terms: tuple[Annotated[int, msgspec.Meta(ge=0, le=3650)], ...]
    slot_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 15
    gate_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 5
    horizon_slots: _Count = 192
    billing_period: Literal["month", "day"] = "month"
    collection_account: CollectionAccount = CollectionAccount()


class Fees(_Section, frozen=True):
    """Wheeling fee for each distance, CNY/kWh."""

    transformer: str
    feeder: str
    substation: str


class Prices(_Section, frozen=True):
    """What the grid company charges and pays outside the market, CNY/kWh."""

    retail: str
    feed_in: str
    shortfall: str


class Settlement(_Section, frozen=True):
    """``reading_deadline_s`` counts from the end of the local day, ``correction_window_s`` from that deadline.

    ``operator_bond`` is locked out of the operator's escrow for each proposed cycle, ``challenge_bond`` out of the
    member's for each challenge, CNY. ``arbiter`` is the member who decides on disputed readings, 0: nobody.

    What comes in the ``late_readings_s`` after both is paid for in a later cycle; after that nothing is taken.
    """

    reading_deadline_s: _Seconds = 6 * 3600
    correction_window_s: _Seconds = 6 * 3600
    late_readings_s: _Seconds = 90 * 86_400
    dispute_window_s: _Seconds = 48 * 3600
    operator_bond: str = "0"
    challenge_bond: str = "0"
    arbiter: int = 0
    commitment_every_s: _Count = 60
    commitment_trades: _Count = 10_000


class ChainTerms(_Section, frozen=True):
    """``verifier`` is where P-256 signatures are checked, 40 hex digits; empty: by the precompile of Osaka."""

    chain_id: _Count
    salt: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    verifier: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{40})?$")] = ""


class Institution(_Section, frozen=True):
    name: str
    public_key: Jwk


class Witness(_Section, frozen=True):
    """An outside party that countersigns the chain's head."""

    public_key: Jwk


class Config(_Section, frozen=True):
    market: MarketTerms
    fees: Fees
    prices: Prices
    chain: ChainTerms
    institutions: dict[str, Institution]
    settlement: Settlement = Settlement()
    server: Server = Server()
    limits: Limits = Limits()
    streams: Streams = Streams()
    network: Network = Network()
    credit: Credit = Credit()
    registry: RegistrySettings = RegistrySettings()
    fapiao: FapiaoSettings = FapiaoSettings()
    witnesses: dict[Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,40}$")], Witness] = {}

    @cached_property
    def witness_keys(self) -> dict[str, PublicKey]:
        return {name: public_key(witness.public_key) for name, witness in self.witnesses.items()}

    @cached_property
    def rules(self) -> Rules:
        fee_ticks = tuple(_ticks(f"fees.{level}", getattr(self.fees, level)) for level in self.fees.__struct_fields__)
        floor_ticks, cap_ticks = _ticks("market.floor", self.market.floor), _ticks("market.cap", self.market.cap)
        transformer, feeder, substation = fee_ticks
        return Rules((transformer, feeder, substation), floor_ticks, cap_ticks, self.market.terms)

    @cached_property
    def retail_ticks(self) -> int:
        return _ticks("prices.retail", self.prices.retail)

    @cached_property
    def operator_bond_micro(self) -> int:
        return _micro("settlement.operator_bond", self.settlement.operator_bond)

    @cached_property
    def challenge_bond_micro(self) -> int:
        return _micro("settlement.challenge_bond", self.settlement.challenge_bond)

    @cached_property
    def feed_in_ticks(self) -> int:
        return _ticks("prices.feed_in", self.prices.feed_in)

    @cached_property
    def shortfall_ticks(self) -> int:
        return _ticks("prices.shortfall", self.prices.shortfall)

    @cached_property
    def collar_ticks(self) -> int | None:
        """None: prices go as far as floor and cap."""
        return _ticks("limits.collar", self.limits.collar) if self.limits.collar else None

    @cached_property
    def scorecard(self) -> Card:
        try:
            return card.read(Path(self.credit.card) if self.credit.card else card.EXPERT)
        except CardError as error:
            raise ConfigError(f"credit.card: {error}") from error

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.market.time_zone)

    @property
    def day_offset_s(self) -> int:
        """What the market's local time is ahead of UTC. Raises ConfigError where clocks change: the chain's do not."""
        offsets = {datetime(2026, month, 1, tzinfo=self.zone).utcoffset() for month in range(1, 13)}
        offset = offsets.pop()
        if offsets or offset is None or offset < timedelta(0):
            raise ConfigError("market.time_zone: days on the chain need a zone east of Greenwich without summer time")
        return int(offset.total_seconds())

    @cached_property
    def salt(self) -> bytes:
        return bytes.fromhex(self.chain.salt)

    @cached_property
    def settlement_rules(self) -> SettlementRules:
        return SettlementRules(
            time_zone=self.market.time_zone,
            slot_minutes=self.market.slot_minutes,
            retail_ticks=self.retail_ticks,
            feed_in_ticks=self.feed_in_ticks,
            shortfall_ticks=self.shortfall_ticks,
            grid_company=INSTITUTIONS["grid_company"],
            reading_deadline_s=self.settlement.reading_deadline_s,
            correction_window_s=self.settlement.correction_window_s,
            late_s=self.settlement.late_readings_s,
            commit_interval_s=self.settlement.commitment_every_s,
            commit_trades=self.settlement.commitment_trades,
        )

    @cached_property
    def timing(self) -> Timing:
        return Timing(self.slot_s, self.market.gate_minutes * 60, self.market.horizon_slots)

    @property
    def slot_s(self) -> int:
        return self.market.slot_minutes * 60

    def key_of(self, role: str) -> PublicKey:
        """The public key that an institution began with."""
        return public_key(self.institutions[role].public_key)


def _ticks(place: str, text: str) -> int:
    try:
        return parse_price_ticks(text)
    except UnitError as error:
        raise ConfigError(f"{place}: {error}") from error


def _micro(place: str, text: str) -> int:
    try:
        return parse_money_micro(text)
    except UnitError as error:
        raise ConfigError(f"{place}: {error}") from error


def load(folder: Path, given: Mapping[str, Given] | None = None) -> Config:
    """Read and check ``folder/market.toml``, with what environment and command line set. Raises ConfigError."""
    path = folder / "market.toml"
    try:
        config = msgspec.convert(over(read_file(folder), given or {}), Config)
        check(config)
    except (msgspec.ValidationError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def read_file(folder: Path) -> dict[str, Any]:
    """The tables of ``folder/market.toml``, not checked yet. Raises ConfigError."""
    path = folder / "market.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there; make the folder with 'jinsha init {folder}'") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def check(config: Config) -> None:
    """Whether the values fit together. Raises ConfigError."""
    try:
        rules = config.rules
        config.collar_ticks  # noqa: B018 - likewise
        config.scorecard  # noqa: B018 - likewise
        config.zone  # noqa: B018 - the property reads and checks the name
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ConfigError(str(error)) from error
    terms = config.market
    if 1440 % terms.slot_minutes:
        raise ConfigError(f"market.slot_minutes: {terms.slot_minutes} does not divide a day")
    if not terms.terms or list(terms.terms) != sorted(set(terms.terms)):
        raise ConfigError("market.terms: expected ascending days, such as [0, 30, 60]")
    if terms.terms[-1] > LONGEST_TERMS_DAYS:
        raise ConfigError(f"market.terms: {terms.terms[-1]} days may end after six months, {LONGEST_TERMS_DAYS} never")
    if not rules.floor_ticks <= config.feed_in_ticks <= config.retail_ticks <= config.shortfall_ticks:
        raise ConfigError("prices: expected floor <= feed_in <= retail <= shortfall, so that missing never pays")
    missing = sorted(set(INSTITUTIONS) ^ set(config.institutions))
    if missing:
        raise ConfigError(f"institutions: expected exactly {', '.join(INSTITUTIONS)}; see {', '.join(missing)}")
    host = urlsplit(config.server.origin).hostname or ""
    if host != config.server.relying_party and not host.endswith(f".{config.server.relying_party}"):
        raise ConfigError(f"server.relying_party: {config.server.relying_party} is not the domain of server.origin")
    for name, witness in config.witnesses.items():
        try:
            public_key(witness.public_key)
        except ProblemError as error:
            raise ConfigError(f"witnesses.{name}.public_key: {error.problem.detail}") from error
    for role in INSTITUTIONS:
        try:
            config.key_of(role)
        except ProblemError as error:
            raise ConfigError(f"institutions.{role}.public_key: {error.problem.detail}") from error


def load_key(folder: Path, role: str, config: Config) -> ec.EllipticCurvePrivateKey:
    """The private key of an institution, checked against the public one in the file. Raises ConfigError."""
    path = folder / "keys" / f"{role}.pem"
    secret = _read_secret(path)
    try:
        key = signatures.private_from_pem(secret)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if signatures.public_key(key) != config.key_of(role):
        raise ConfigError(f"{path}: this is not the key that market.toml names for the {role}")
    return key


def new_institution(folder: Path, role: str, name: str) -> Institution:
    """Make a key of an institution, keep it in ``folder/keys``, readable by its owner alone."""
    key = signatures.new_private_key()
    path = folder / "keys" / f"{role}.pem"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(signatures.private_to_pem(key))
    return Institution(name, to_jwk(signatures.public_key(key)))


def write_relayer_key(folder: Path) -> None:
    """Make the key of the account that carries transactions to the chain; it moves nothing by itself."""
    path = folder / "keys" / RELAYER
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(secrets.token_hex(32), "ascii")


def load_relayer_key(folder: Path) -> bytes:
    """Its 32 bytes. Raises ConfigError."""
    return _read_hex(folder / "keys" / RELAYER)


def load_server_secret(folder: Path) -> bytes:
    """What members' secrets are sealed with, 32 bytes; made when it is not there yet. Raises ConfigError."""
    path = folder / "keys" / SERVER_SECRET
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), "ascii")
    return _read_hex(path)


def _read_hex(path: Path) -> bytes:
    """A secret of 32 bytes. Raises ConfigError."""
    secret = _read_secret(path)
    try:
        key = bytes.fromhex(secret.decode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if len(key) != 32:
        raise ConfigError(f"{path}: expected 32 bytes as hex")
    return key


def _read_secret(path: Path) -> bytes:
    """A file that only its owner, or a group that the operator chose, can read. Raises ConfigError."""
    try:
        mode, secret = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"{path}: others may read or change this key (mode {mode & 0o777:03o}); chmod 600 it")
    return secret


def to_toml(config: Config) -> str:
    """The file that ``load`` reads back as the same value."""
    lines: list[str] = []
    _write_table(lines, "", msgspec.to_builtins(config))
    return "\n".join(lines).lstrip("\n") + "\n"


def _write_table(lines: list[str], name: str, table: dict[str, object]) -> None:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain:
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            _write_table(lines, f"{name}.{key}".lstrip("."), value)
