"""Putting the contracts on a chain, once.

A contract's address follows from the relayer's account and the number of the transaction that creates it, so all of
them are known beforehand and can name each other; the relayer's first transactions are the deployment. Doing it again
changes nothing, and a deployment that was interrupted is carried on. What stands on the chain is compared, byte for
byte, with what these sources and this genesis give on a machine of our own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from eth_abi.abi import encode
from eth_account import Account
from ethereum.forks.osaka.utils.address import compute_contract_address
from ethereum_types.bytes import Bytes20
from ethereum_types.numeric import Uint

from settlement import abi
from settlement.acts import Admission, Role
from settlement.chain import CONTRACTS, ChainError
from settlement.compile import Compiled, compiled, silent
from settlement.evm import BlockContext, Executed, Machine
from settlement.jsonrpc import HttpPost, JsonRpc, Request
from settlement.rpc import RpcChain, send_raw, sign_transaction

P256VERIFY = (0x100).to_bytes(20, "big")
"""The precompile of Osaka (EIP-7951)."""


class DeploymentError(ChainError):
    """What is on the chain is not this market: other contracts, another genesis, or a relayer that was used before."""


class Genesis(NamedTuple):
    """What a market fixes for good when its contracts are deployed.

    ``salt`` is 32 random bytes; ``members`` are the institutions with their roles; ``horizon_s`` is how far ahead
    slots are traded, ``verifier`` where P-256 signatures are checked, ``thresholds`` how many approvals a role's act
    needs where it is more than one. The operator's bond is locked for each proposed cycle, a challenger's for each
    challenge; 0 locks nothing. ``predecessors`` are the contracts whose place Members, Cash and Clearing take, by name.
    ``collection`` is the hash of the account into which debtors pay; local days begin ``day_offset_s`` before UTC's.
    """

    salt: bytes
    members: Sequence[Admission]
    dispute_window_s: int
    horizon_s: int
    verifier: bytes = P256VERIFY
    thresholds: Mapping[Role, int] = {}
    operator_bond_micro: int = 0
    challenge_bond_micro: int = 0
    predecessors: Mapping[str, bytes] = {}
    collection: bytes = bytes(32)
    day_offset_s: int = 8 * 3600


def deploy(
    url: str, genesis: Genesis, relayer_key: bytes, *, confirmations: int = 0, say: Callable[[str], None] = silent
) -> RpcChain:
    """The chain at a URL with our contracts on it, deployed now if they are not there yet.

    ``relayer_key`` is 32 bytes, used by this market alone. ``say`` gets a line for what takes a while. Raises
    DeploymentError, ChainUnavailableError, ChainRefusedError.
    """
    return deploy_over(JsonRpc(HttpPost(url)), genesis, relayer_key, confirmations=confirmations, say=say)


def deploy_over(
    rpc: JsonRpc,
    genesis: Genesis,
    relayer_key: bytes,
    *,
    confirmations: int = 0,
    gone_back_after_s: float = 0.0,
    say: Callable[[str], None] = silent,
) -> RpcChain:
    """As ``deploy``, over a connection that is open already; ``gone_back_after_s`` as for ``RpcChain``."""
    contracts = compiled(say)
    relayer = Account.from_key(relayer_key)
    sender = bytes.fromhex(relayer.address[2:])
    addresses = contract_addresses(sender)
    chain_id = int(rpc.ask("eth_chainId"), 16)
    creations = [
        sign_transaction(relayer, chain_id, nonce, None, data)
        for nonce, data in enumerate(creation_codes(contracts, genesis, addresses))
    ]
    done = int(rpc.ask("eth_getTransactionCount", relayer.address, "latest"), 16)
    for name, raw in list(zip(CONTRACTS, creations, strict=True))[done:]:
        say(f"deploying {name}")
        send_raw(rpc, raw)
    _check_codes(rpc, chain_id, creations, addresses)
    return RpcChain(
        rpc,
        chain_id=chain_id,
        addresses=addresses,
        salt=genesis.salt,
        contracts=contracts,
        relayer_key=relayer_key,
        confirmations=confirmations,
        gone_back_after_s=gone_back_after_s,
    )


def contract_addresses(relayer: bytes) -> dict[str, bytes]:
    """Where a relayer's first transactions put the contracts. Source: Yellow Paper, section 7."""
    return {name: bytes(compute_contract_address(Bytes20(relayer), Uint(at))) for at, name in enumerate(CONTRACTS)}


def creation_codes(contracts: Mapping[str, Compiled], genesis: Genesis, addresses: Mapping[str, bytes]) -> list[bytes]:
    """Constructor code with its arguments for each contract, in the order of deployment."""
    members, cash, clearing, receivables, disputes, sales = (addresses[name] for name in CONTRACTS)
    admissions = [(each.member, each.key.x, each.key.y, int(each.roles)) for each in genesis.members]
    thresholds = [genesis.thresholds.get(role, 1) for role in Role]

    def before(name: str) -> bytes:
        return genesis.predecessors.get(name, bytes(20))

    arguments: dict[str, tuple[object, ...]] = {
        "Members": (genesis.verifier, genesis.salt, admissions, thresholds, before("Members")),
        "Cash": (genesis.salt, members, clearing, receivables, sales, before("Cash")),
        "Clearing": (
            genesis.salt,
            members,
            cash,
            disputes,
            genesis.dispute_window_s,
            genesis.horizon_s,
            genesis.operator_bond_micro,
            genesis.challenge_bond_micro,
            before("Clearing"),
        ),
        "Receivables": (genesis.salt, members, cash, sales, genesis.collection, genesis.day_offset_s),
        "Disputes": (genesis.salt, members, clearing),
        "Sales": (genesis.salt, members, cash, receivables, genesis.day_offset_s),
    }
    return [
        contracts[name].creation_code + encode(abi.constructor_types(contracts[name]), arguments[name])
        for name in CONTRACTS
    ]


def _check_codes(rpc: JsonRpc, chain_id: int, creations: Sequence[bytes], addresses: Mapping[str, bytes]) -> None:
    machine = Machine(chain_id)
    for result in machine.execute(BlockContext(1, 0, bytes(32)), creations):
        assert isinstance(result, Executed) and result.succeeded, f"the genesis is not deployable: {result}"
    places = ["0x" + address.hex() for address in addresses.values()]
    found = rpc.batch([Request("eth_getCode", [place, "latest"]) for place in places])
    for (name, address), code in zip(addresses.items(), found, strict=True):
        if bytes.fromhex(str(code).removeprefix("0x")) != machine.account(address).code:
            raise DeploymentError(f"the contract {name} on the chain is not the one of this market and version")
