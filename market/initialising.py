"""``jinsha init``: a market's folder out of a neighbourhood's tariff, with fresh keys and a fresh genesis salt."""

import argparse
import secrets
import sys
from pathlib import Path

from data.units import MICRO_PER_FEN, format_money, format_price
from market.config import (
    INSTITUTIONS,
    ChainTerms,
    Config,
    ConfigError,
    Fees,
    MarketTerms,
    Prices,
    Settlement,
    check,
    new_institution,
    to_toml,
    write_relayer_key,
)
from market.tariff import NeighbourhoodError, Tariff, read_tariff
from settlement.embedded import CHAIN_ID

_HOUR_S = 3600

_HEAD = """\
# A Jinsha market. Prices are decimals in CNY/kWh. What stands in [market], [fees], [prices], [settlement], [chain] and
# [institutions] is fixed when the market is first served; [server] and [limits] may change between two starts.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the market's folder, made if need be")
    parser.add_argument(
        "--from",
        dest="neighbourhood",
        type=Path,
        required=True,
        metavar="NEIGHBOURHOOD",
        help="folder whose tariff.toml gives prices, fees, terms and times, such as data/sample",
    )
    parser.add_argument(
        "--chain-id", type=int, default=CHAIN_ID, help="of the network, where it is not the embedded chain"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the folder. Exit code 0, or 2 when it can not be made; an existing market is never touched."""
    try:
        config = initialise(arguments.folder, read_tariff(arguments.neighbourhood / "tariff.toml"), arguments.chain_id)
    except (ConfigError, NeighbourhoodError, OSError) as error:
        sys.stderr.write(f"jinsha init: {error}\n")
        return 2
    sys.stdout.write(
        f"{arguments.folder / 'market.toml'} and the keys of {len(config.institutions)} institutions are made.\n"
        f"Next: jinsha serve {arguments.folder}\n"
    )
    return 0


def initialise(folder: Path, tariff: Tariff, chain_id: int) -> Config:
    """Write ``market.toml`` and ``keys/``. Raises ConfigError when there is a market already, OSError."""
    for path in (folder / "market.toml", folder / "keys"):
        if path.exists():
            raise ConfigError(f"{path} exists already; choose another folder")
    fees = (format_price(ticks) for ticks in tariff.fee_ticks)
    institutions = {role: new_institution(folder, role, role.replace("_", " ").capitalize()) for role in INSTITUTIONS}
    write_relayer_key(folder)
    config = Config(
        market=MarketTerms(
            time_zone=tariff.time_zone,
            floor=format_price(tariff.floor_ticks),
            cap=format_price(tariff.cap_ticks),
            terms=tariff.terms_days,
            slot_minutes=tariff.slot_minutes,
            gate_minutes=tariff.gate_minutes,
            horizon_slots=tariff.horizon_hours * 60 // tariff.slot_minutes,
            billing_period="day" if tariff.billing_period == "day" else "month",
        ),
        fees=Fees(*fees),
        prices=Prices(
            retail=format_price(tariff.retail_ticks),
            feed_in=format_price(tariff.feed_in_ticks),
            shortfall=format_price(tariff.shortfall_ticks),
        ),
        settlement=Settlement(
            reading_deadline_s=tariff.reading_deadline_hours * _HOUR_S,
            correction_window_s=tariff.correction_window_hours * _HOUR_S,
            dispute_window_s=tariff.dispute_window_hours * _HOUR_S,
            operator_bond=format_money(tariff.operator_bond_fen * MICRO_PER_FEN),
            challenge_bond=format_money(tariff.challenge_bond_fen * MICRO_PER_FEN),
        ),
        chain=ChainTerms(chain_id=chain_id, salt=secrets.token_hex(32)),
        institutions=institutions,
    )
    check(config)
    (folder / "market.toml").write_text(_HEAD + to_toml(config), "utf-8")
    return config
