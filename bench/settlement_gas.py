"""Gas, on the contracts as they are deployed: what a trade, a netted member and a checked signature cost.

Beside them stands a contract that fills every trade on the chain (``per_trade_fill.vy``). Everything is measured on
accounts that were used before, as they are on every day but the first.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from ethereum.forks.osaka.utils.address import compute_contract_address
from ethereum_types.bytes import Bytes20
from ethereum_types.numeric import Uint
from settlement_figures import Figure, Say

from settlement import acts
from settlement.acts import Commitment, Delta
from settlement.calls import SIGNATURE, call, halves
from settlement.chain import Call
from settlement.compile import SOURCES
from settlement.deploy import P256VERIFY
from settlement.evm import TRANSACTION_GAS_CAP, BlockContext, Executed
from settlement.intents import Domain, IntentType
from settlement.rpc import sign_transaction
from tests.settlement.contract_bench import (
    CHAIN_ID,
    LATE_S,
    OPERATOR,
    RELAYER,
    SALT,
    YUAN,
    Bench,
    public,
    sign,
)

TRADES, MEMBERS, FIRST_MEMBER = 1_000, 300, 100
AT_ONCE = 100
GAS_OF_TRANSACTION, GAS_OF_BYTE, GAS_OF_ZERO = 21_000, 16, 4
FILL = Path(__file__).with_name("per_trade_fill.vy")
ORDER_FIELDS = ("member", "side", "slot", "quantityLots", "priceTicks", "nonce", "deadline")
ORDER = IntentType("Order", dict.fromkeys(ORDER_FIELDS, "uint256"))


def section(say: Say) -> Iterator[Figure]:
    """All of it: a few hundred transactions on a machine in this process."""
    say("compiling and deploying the contracts")
    bench = Bench()
    say("commitments")
    commit = _commitment_gas(bench)
    yield Figure(f"commitment, per trade at {TRADES:,} trades", commit / TRADES, "gas", 91)
    say(f"{MEMBERS} members and two cycles")
    proposing, applying = _cycle_gas(bench)
    yield Figure(f"cycle of {MEMBERS}, per netted member", (proposing + applying) / MEMBERS, "gas", 7_600)
    yield Figure(f"its largest transaction, {MEMBERS} members", applying, "gas", TRANSACTION_GAS_CAP / 2)
    say("one signature")
    yield Figure("an intent's check with P256VERIFY", _check_gas(bench), "gas", 13_000)
    say("compiling the contract for comparison")
    fill = _fill_gas(bench)
    yield Figure("for comparison: a fill on the chain for each trade, two signatures", fill, "gas")
    yield Figure("fill on the chain against our commitment", fill / (commit / TRADES), "times")


def _commitment_gas(bench: Bench) -> int:
    """Of the second: the first also pays for the contract's first words."""
    previous = bytes(32)
    for number in (1, 2):
        commitment = Commitment(number, previous, bytes([number]) * 32, b"\xee" * 32, TRADES)
        digest = acts.commit_digest(bench.domain("Clearing"), commitment)
        bench.do(acts.commit(commitment, bench.approve(OPERATOR, digest)))
        previous = commitment.rolling_hash()
    return bench.gas


def _cycle_gas(bench: Bench) -> tuple[int, int]:
    """Of the second cycle: to propose it, and to apply its one part."""
    members = range(FIRST_MEMBER, FIRST_MEMBER + MEMBERS)
    for at in range(0, MEMBERS, AT_ONCE):
        some = members[at : at + AT_ONCE]
        bench.admit(*some)
        bench.mint(*((member, 1_000 * YUAN) for member in some), to_escrow=True)
    half = MEMBERS // 2
    deltas = [Delta(member, -YUAN) for member in members[:half]] + [Delta(member, YUAN) for member in members[half:]]
    bench.settle(1, deltas)
    proposal = bench.proposal(2, [deltas])
    bench.now_s = max(bench.now_s, proposal.end_s)
    bench.do(bench.propose(proposal))
    proposing = bench.gas
    bench.now_s = bench.now_s + 10 * 86_400
    bench.do(acts.apply_part(2, 0, deltas))
    return proposing, bench.gas


def _check_gas(bench: Bench) -> int:
    """Of ``Members.check_mover`` as a transaction of its own, without what any transaction costs."""
    digest = b"\x55" * 32
    signature = sign(FIRST_MEMBER, digest)
    types = ("uint256", "bytes32", *SIGNATURE)
    checking = call("Members", "check_mover", types, FIRST_MEMBER, digest, *halves(signature))
    bench.do(checking)
    return bench.gas - intrinsic_gas(checking)


def intrinsic_gas(wanted: Call) -> int:
    """What a transaction costs before it does anything. Source: Yellow Paper, appendix G."""
    zeros = wanted.data.count(0)
    return GAS_OF_TRANSACTION + GAS_OF_ZERO * zeros + GAS_OF_BYTE * (len(wanted.data) - zeros)


# ------------------------------------------------------------------------------------- the other way to do it


def _fill_gas(bench: Bench) -> int:
    """Of one trade between two orders that had none: members and balances are there already."""
    creation, selector = _compiled_fill()
    keys = [tuple(public(member)) for member in (1, 2)]
    arguments = encode(["address", "bytes32", "(uint256,uint256)[]", "uint256"], [P256VERIFY, SALT, keys, 10**15])
    first = bench.machine.account(bytes.fromhex(RELAYER.address[2:])).nonce
    address = bytes(compute_contract_address(Bytes20(bytes.fromhex(RELAYER.address[2:])), Uint(first)))
    _run(bench, first, None, creation + arguments)
    domain = Domain(CHAIN_ID, address, SALT)
    buy, sell = (1, 1, 900, 250, 4_800, 1, LATE_S), (2, 2, 900, 250, 4_700, 1, LATE_S)
    order, signature = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256)", "(uint256,uint256)"
    signed = [halves(sign(each[0], _order_digest(domain, each))) for each in (buy, sell)]
    data = encode(
        [order, signature, order, signature, "uint256", "uint256"], [buy, signed[0], sell, signed[1], 100, 4_750]
    )
    return _run(bench, first + 1, address, selector + data)


def _order_digest(domain: Domain, order: tuple[int, ...]) -> bytes:
    return ORDER.digest(domain, dict(zip(ORDER_FIELDS, order, strict=True)))


def _run(bench: Bench, nonce: int, target: bytes | None, data: bytes) -> int:
    raw = sign_transaction(RELAYER, CHAIN_ID, nonce, target, data)
    (result,) = bench.machine.execute(BlockContext(2, bench.now_s, bytes(32)), [raw])
    assert isinstance(result, Executed) and result.succeeded, result
    return result.gas


def _compiled_fill() -> tuple[bytes, bytes]:
    """Creation code without arguments, and the selector of ``fill``."""
    compiler: Any = import_module("vyper.compiler")
    bundles: Any = import_module("vyper.compiler.input_bundle")
    sources = bundles.FilesystemInputBundle([SOURCES, FILL.parent])
    output = compiler.compile_from_file_input(
        sources.load_file(FILL), input_bundle=sources, output_formats=["bytecode", "method_identifiers"]
    )
    (selector,) = (word for name, word in output["method_identifiers"].items() if name.startswith("fill("))
    return bytes.fromhex(output["bytecode"][2:]), int(selector, 16).to_bytes(4, "big")
