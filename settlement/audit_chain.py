"""The audit of the chain and of its mirror: blocks run again, every call accounted for, no money made or lost."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row

from settlement import abi, audit_store, calls, chain_audit, mirror, outbox, store
from settlement.audit_scene import Examine, Scene, Step, Tick
from settlement.chain import Call
from settlement.chain_file import FileChain, FoundTransaction
from settlement.chain_store import ChainReader
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs
from settlement.deploy import creation_codes
from settlement.keccak import keccak
from settlement.verify_pool import usable_cores

BLOCKS_RUN_AGAIN = 300
"""Chosen at random, unless all are; links, hashes and the final state are always checked for every block."""

BALANCES = {"free_micro": calls.balance_of, "escrow_micro": calls.escrow_of, "arrears_micro": calls.arrears_of}


def block_step(path: Path, *, thorough: bool) -> tuple[str, str, int, Examine]:
    """The very first step, whether the chain's file can be believed: title, unit, total, examination.

    Raises ChainFileError when there is no chain in the file.
    """
    reader = ChainReader(path)
    blocks = reader.count() - 1
    reader.close()
    sample = None if thorough or blocks <= BLOCKS_RUN_AGAIN else BLOCKS_RUN_AGAIN
    return "chain: every link, blocks run again", "blocks", sample or blocks, partial(_blocks, path, sample)


def first_steps(scene: Scene) -> list[Step]:
    """The steps that come before those on the market."""
    if scene.file is None:
        return []
    return [Step("contracts: ours, with this market's genesis", "contracts", 4, _contracts)]


def last_steps(scene: Scene) -> list[Step]:
    """The steps that come last: the mirror, the calls, the money."""
    count = scene.connection
    found = [Step("mirror of the chain's events", "events", audit_store.count(count, "chain_events"), _mirror)]
    if scene.file is not None:
        found.append(Step("calls sent to the chain", "calls", audit_store.count(count, "outbox"), _outbox))
    return [
        *found,
        Step("deposits against what was minted", "deposits", audit_store.count(count, "deposits"), _deposits),
        Step("what the custodian says it holds", "balances", audit_store.count(count, "custody_balances"), _custody),
        Step("balances and conservation of money", "accounts", audit_store.count(count, "cash"), _balances),
    ]


# ---------------------------------------------------------------------------------------------------- chain


def _blocks(path: Path, sample: int | None, tick: Tick) -> Iterator[Contradiction]:
    before = 0
    try:
        for progress in chain_audit.verify_chain_file(path, sample=sample, workers=usable_cores()):
            tick(progress.done - before)
            before = progress.done
    except chain_audit.ContradictionError as error:
        yield Contradiction("chain", f"block {error.block}", error.field, error.what)


def _contracts(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """The first transactions are the deployment of these sources with this genesis, byte for byte."""
    assert scene.file is not None
    expected = creation_codes(compiled(), scene.terms.genesis, scene.file.addresses)
    for name, ours, theirs in zip(scene.file.addresses, expected, scene.file.deployments(), strict=False):
        if ours != theirs:
            yield Contradiction("chain", f"contract {name}", "creation code", "is not that of this market and version")
        tick(1)


# --------------------------------------------------------------------------------------------------- mirror


def _mirror(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Every event that is kept is the chain's, and up to the newest kept none is missing."""
    kept = audit_store.chain_event_rows(scene.connection)
    upto = kept[-1].block if kept else -1
    expected = [event for event in scene.events if event.block <= upto]
    for ours, theirs in zip(expected, kept, strict=False):
        computed = msgspec.structs.asdict(ours) | {"arguments": store.arguments_to_json(ours.arguments)}
        for column, value in computed.items():
            if getattr(theirs, column) != value:
                key = f"block {theirs.block} log {theirs.log_index}"
                yield differs("chain_events", key, column, stated=getattr(theirs, column), computed=value)
        tick(1)
    if len(kept) != len(expected):
        yield differs("chain_events", f"up to block {upto}", "count", stated=len(kept), computed=len(expected))


def _outbox(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    assert scene.file is not None
    on_chain = scene.file.transactions()
    upto = store.last_mirrored_block(scene.connection)
    for number, row in enumerate(audit_store.outbox_rows(scene.connection), start=1):
        sent = on_chain.get(row.transaction_hash)
        if row.outbox_id != number:
            yield differs("outbox", row.outbox_id, "outbox_id", stated=row.outbox_id, computed=number)
        if row.state in (outbox.DONE, outbox.REVERTED) or (sent is not None and sent.block <= upto):
            if sent is None:
                yield Contradiction("outbox", str(row.outbox_id), "transaction_hash", "is not on the chain")
            else:
                yield from _sent(scene.file, row, sent)
        else:
            yield from _unsent(scene.file, row)
        tick(1)


def _unsent(chain: FileChain, row: Row[Any]) -> Iterator[Contradiction]:
    """A call that nothing has come of yet. What it carries was signed, and is held to that once it is on the chain."""
    key = str(row.outbox_id)
    contract, _, function = row.kind.partition(".")
    functions = chain.functions(contract) if contract in chain.addresses else {}
    computed = None if row.raw is None else keccak(row.raw)
    if row.state not in (outbox.WAITING, outbox.SENT):
        yield Contradiction("outbox", key, "state", f"{row.state!r} is none")
    if functions.get(row.call[:4]) != function:
        yield Contradiction("outbox", key, "kind", "is not the function that is called")
    if row.transaction_hash != computed:
        yield Contradiction("outbox", key, "raw", "is not the transaction of that hash")
    for column in ("block", "block_hash", "gas", "refusal"):
        if getattr(row, column) is not None:
            yield Contradiction("outbox", key, column, "nothing has come of this call yet")


def _sent(chain: FileChain, row: Row[Any], sent: FoundTransaction) -> Iterator[Contradiction]:
    contract, _, function = row.kind.partition(".")
    functions = chain.functions(contract) if contract in chain.addresses else {}
    executed = sent.executed
    computed: Mapping[str, object] = {
        "kind": f"{contract}.{functions.get(sent.data[:4], '?')}",
        "call": sent.data,
        "raw": row.raw if row.raw is None or keccak(row.raw) == row.transaction_hash else b"",
        "block": sent.block,
        "block_hash": sent.block_hash,
        "gas": executed.gas,
        "state": outbox.DONE if executed.succeeded else outbox.REVERTED,
        "refusal": None if executed.succeeded else abi.refusal(executed.output),
    }
    for column, value in computed.items():
        if getattr(row, column) != value:
            yield differs("outbox", row.outbox_id, column, stated=getattr(row, column), computed=value)
    if sent.target != chain.addresses.get(contract):
        yield Contradiction("outbox", str(row.outbox_id), "kind", f"was not sent to {contract}, a function {function}")


def _deposits(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    minted = {event.arguments["reference"]: event.arguments for event in scene.of("Cash", "Minted")}
    rows = audit_store.all_deposits(scene.connection)
    for row in rows:
        arguments = minted.get(keccak(row.reference.encode()))
        if row.state == outbox.DONE:
            stated = {"member": row.member_id, "amount": row.amount_micro, "to_escrow": row.to_escrow}
            for name, value in stated.items():
                if arguments is None or arguments[name] != value:
                    computed = None if arguments is None else arguments[name]
                    yield differs("deposits", row.reference, name, stated=value, computed=computed)
        if not _carries(row):
            yield Contradiction("deposits", row.reference, "outbox_id", "names no call that mints this deposit")
        tick(1)
    known = {keccak(row.reference.encode()) for row in rows}
    upto = store.last_mirrored_block(scene.connection)
    for event in scene.of("Cash", "Minted"):
        if event.block <= upto and event.arguments["reference"] not in known:
            key = f"block {event.block} log {event.log_index}"
            yield Contradiction("chain_events", key, "reference", "was minted for no deposit that is recorded")


def _custody(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Each balance is the one in the call that it names: the custodian signed that."""
    for row in audit_store.custody_rows(scene.connection):
        called = abi.arguments(compiled()["Cash"], row.call) if row.kind == "Cash.attest_balance" else {}
        if (called.get("as_of_s"), called.get("balance")) != (row.as_of_s, row.balance_micro):
            yield Contradiction("custody_balances", str(row.as_of_s), "as_of_s, balance_micro", "are not in its call")
        tick(1)


def _carries(row: Row[Any]) -> bool:
    """Whether the call that a deposit names mints it."""
    if row.kind != "Cash.mint_many":
        return False
    mint = (row.member_id, row.amount_micro, keccak(row.reference.encode()), row.to_escrow)
    return mint in abi.arguments(compiled()["Cash"], row.call)["mints"]


# -------------------------------------------------------------------------------------------------- balances


def _balances(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """The mirror is what its events make it; the contracts hold what all events make; supply is conserved."""
    upto = store.last_mirrored_block(scene.connection)
    made: dict[int, store.Balance] = {}
    mirror.apply_to(made, (event for event in scene.events if event.block <= upto))
    kept = store.balances(scene.connection)
    for member in sorted({*made, *kept}):
        for column in BALANCES:
            stated = kept.get(member, mirror.new_balance())[column]
            computed = made.get(member, mirror.new_balance())[column]
            if stated != computed:
                yield differs("cash", member, column, stated=stated, computed=computed)
        tick(1)
    made.clear()
    mirror.apply_to(made, scene.events)
    yield from _conservation(scene, _free(scene, made))
    if not _is_applying(scene):
        yield from _escrow(scene, made)


def _is_applying(scene: Scene) -> bool:
    """Whether a cycle's parts are being applied just now: its credits are then in no balance yet."""
    last = {"PartApplied": 0, "CycleApplied": 0}
    for name in last:
        last[name] = max((int(event.arguments["cycle"]) for event in scene.of("Clearing", name)), default=0)
    return last["PartApplied"] > last["CycleApplied"]


def _free(scene: Scene, made: Mapping[int, store.Balance]) -> dict[int, int]:
    """What ``Cash`` holds for every member and for each contract, by account."""
    contracts = {int.from_bytes(address, "big") for address in scene.chain.addresses.values()}
    return {account: _ask(scene, calls.balance_of(account)) for account in sorted({*made, *contracts})}


def _ask(scene: Scene, question: Call) -> int:
    return int(scene.chain.view(question)[0])


def _conservation(scene: Scene, free: Mapping[int, int]) -> Iterator[Contradiction]:
    """Supply = minted - burned = sum of the balances."""
    supply = _ask(scene, calls.supply())
    minted = sum(int(event.arguments["amount"]) for event in scene.of("Cash", "Minted"))
    burned = sum(int(event.arguments["amount"]) for event in scene.of("Cash", "Burned"))
    if supply != minted - burned:
        yield differs("chain", "Cash", "supply", stated=supply, computed=minted - burned)
    if sum(free.values()) != supply:
        yield differs("chain", "Cash", "sum of balances", stated=sum(free.values()), computed=supply)


def _escrow(scene: Scene, made: Mapping[int, store.Balance]) -> Iterator[Contradiction]:
    """Each escrow and arrears are what the events make them; together escrow and bonds are what ``Clearing`` holds."""
    total = _ask(scene, calls.total_bonds())
    for member in sorted(made):
        for column, question in BALANCES.items():
            held = _ask(scene, question(member))
            total += held if column == "escrow_micro" else 0
            if held != made[member][column]:
                yield differs("chain", f"account {member}", column, stated=held, computed=made[member][column])
    clearing = _ask(scene, calls.balance_of(int.from_bytes(scene.chain.addresses["Clearing"], "big")))
    if total != clearing:
        yield differs("chain", "Clearing", "sum of escrow", stated=total, computed=clearing)
