"""The way to an EVM network's nodes, as the settings name them, and the memory of which network it was.

The hash of the network's first block is kept when the market is served for the first time. A network that was begun
anew under the same chain id is so another one: nothing is deployed there, and nothing believed.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import Engine

from data.database import reading
from market import store
from market.config import Config, ConfigError
from market.logs import log
from settlement.endpoints import Endpoints, Identity, WrongChainError
from settlement.jsonrpc import JsonRpc

NETWORK = "network"
"""The setting that holds the hash of the network's first block."""

GONE_BACK_AFTER_S = 60.0
"""With several nodes, blocks that were seen and are missing now count as given up after so long, not at once."""


def nodes_of(urls: str) -> list[str]:
    """The URLs of ``chain_url``, which has commas between them."""
    return [url.strip() for url in urls.split(",") if url.strip()]


def network(database: Engine, terms: Config, urls: str) -> JsonRpc:
    """A connection to the network that this market began on, or begins on now.

    Raises ConfigError when a node has another network, ChainUnavailableError when none answers.
    """
    with reading(database) as connection:
        begun = store.read_settings(connection).get(NETWORK)
    endpoints = connect(terms, urls, begun)
    if begun is None:
        with database.begin() as connection:
            store.put_settings(connection, {NETWORK: {"genesis": endpoints.identity.genesis.hex()}})
    return JsonRpc(endpoints)


def connect(terms: Config, urls: str, begun: Mapping[str, str] | None) -> Endpoints:
    """As ``network``, with what is kept already; keeps nothing."""
    chain_id = terms.chain.chain_id
    identity = None if begun is None else Identity(chain_id, bytes.fromhex(begun["genesis"]))
    try:
        return Endpoints(
            nodes_of(urls),
            timeout_s=terms.network.timeout_s,
            identity=identity,
            chain_id=chain_id,
            lag_blocks=terms.network.lag_blocks,
            say=lambda line: log(logging.WARNING, "network", note=line),
        )
    except WrongChainError as error:
        raise ConfigError(f"chain_url: {error}; market.toml says chain {chain_id}") from error
