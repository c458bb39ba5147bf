"""``jinsha witness``: an outside party's process, wired with its key, its file and where it reads the chain."""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from settlement import signatures
from settlement.chain import ChainError
from settlement.checker_client import MarketClient, MarketRefusedError, MarketUnreachableError
from settlement.intents import Domain
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.jwk import to_jwk
from settlement.officer import Officer
from settlement.witness import (
    StatementsFile,
    StatementsFileError,
    Witness,
    headers_of_market,
    headers_of_node,
)
from settlement.witness import (
    run as run_witness,
)
from settlement.witnesses import WITNESS_EVERY_S, Signer


class NotAWitnessError(Exception):
    """The market does not know this key as a witness's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", required=True, metavar="URL", help="the market's address")
    parser.add_argument("--rpc", metavar="URL", help="a node of the chain, instead of the market's headers")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the witness's private key, a PEM file")
    parser.add_argument("--file", type=Path, required=True, metavar="FILE", help="its statements; made when not there")
    parser.add_argument("--every", type=float, default=WITNESS_EVERY_S, metavar="S", help="(default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="one statement, and the end")


def run(arguments: argparse.Namespace) -> int:
    """Witness until told to stop: 0; 1 when the chain was rewritten; 2 when key, file or market can not be used."""
    stopped = threading.Event()
    if not arguments.once:
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        key = signatures.private_from_pem(arguments.key.read_bytes())
        market = MarketClient(arguments.server, Officer(0, key))  # it never logs in: what it says is signed
        signer = Signer(_name_of(market, key), key, _domain(market))
        headers = headers_of_market(market)
        if arguments.rpc is not None:
            headers = headers_of_node(JsonRpc(HttpPost(arguments.rpc)))
        witness = Witness(signer, StatementsFile(arguments.file, signer), headers, market, lambda: int(time.time()))
        return run_witness(witness, every_s=arguments.every, once=arguments.once, is_stopped=stopped.is_set)
    except (
        NotAWitnessError,
        StatementsFileError,
        ChainError,
        MarketUnreachableError,
        MarketRefusedError,
        OSError,
        ValueError,
        TypeError,
    ) as error:
        sys.stderr.write(f"jinsha witness: {error}\n")
        return 2


def _domain(market: MarketClient) -> Domain:
    terms = market.get_json("/v1/market")
    return Domain(terms["chain_id"], bytes.fromhex(terms["contracts"]["Clearing"]), bytes.fromhex(terms["salt"]))


def _name_of(market: MarketClient, key: ec.EllipticCurvePrivateKey) -> str:
    """What the market calls the witness with this key. Raises NotAWitnessError, which says what is to be done."""
    jwk = msgspec.to_builtins(to_jwk(signatures.public_key(key)))
    for each in market.get_json("/v1/witnesses")["witnesses"]:
        if each["public_key"] == jwk:
            return str(each["witness"])
    fields = ", ".join(f'{name} = "{value}"' for name, value in jwk.items())
    raise NotAWitnessError(
        f"the market knows no witness with this key; its operator adds to market.toml:\n"
        f"[witnesses.NAME]\npublic_key = {{ {fields} }}"
    )
