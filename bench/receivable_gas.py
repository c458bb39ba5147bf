"""Gas of a receivable's life on the contracts as they are deployed: what each step costs, and whether it fits a block.

The largest lists that the contracts take are sent whole; a transaction may not be larger than Osaka lets it be.
"""

from collections.abc import Iterator

from settlement_figures import Figure, Say

from settlement import merkle, part_acts, receivable_acts
from settlement.evm import TRANSACTION_GAS_CAP
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import ChainState
from tests.settlement.contract_bench import YUAN
from tests.settlement.receivable_bench import Owed, owed_at
from tests.settlement.sale_bench import BANK, FACE

MOST_MATERIALISED, MOST_ACKNOWLEDGED = 20, 100


def section(say: Say) -> Iterator[Figure]:
    """A few dozen transactions on a machine in this process."""
    say("issued and acknowledged")
    owed = owed_at(ChainState.ISSUED).copy()
    ids = _materialise(owed)
    yield _fits(f"materialise_many, {MOST_MATERIALISED} receivables", owed.gas)
    yield Figure("materialised, per receivable", owed.gas / MOST_MATERIALISED, "gas")
    owed.do(owed.acknowledging(*ids))
    yield _fits(f"acknowledge_many, {MOST_ACKNOWLEDGED} receivables", owed.gas)
    yield Figure("acknowledged, per receivable", owed.gas / MOST_ACKNOWLEDGED, "gas")
    say("trades claimed")
    gas = _claim(owed_at(ChainState.ISSUED))
    yield _fits(f"claim_trades, {part_acts.CLAIMED_AT_ONCE} trades", gas)
    yield Figure("claimed, per trade", gas / part_acts.CLAIMED_AT_ONCE, "gas")
    say("sold, split and paid")
    sold = owed_at(ChainState.LISTED)
    sold.do(sold.financing(sold.offer(costs_micro=YUAN)))
    yield Figure("finance, a direct offer", sold.gas, "gas")
    paid = sold.copy()
    paid.do(paid.repaying(FACE // 2))
    yield Figure("repay in part, 2 parts", paid.gas, "gas")
    sold.do(sold.splitting(2, YUAN, BANK))
    yield Figure("split_part, the third part", sold.gas, "gas")
    for _ in range(part_acts.MOST_PARTS - 3):
        sold.do(sold.splitting(2, YUAN, BANK))
    yield Figure("split_part, the twentieth part", sold.gas, "gas")
    paid = sold.copy()
    paid.do(paid.repaying(FACE // 2))
    yield _fits("repay in part, 20 parts", paid.gas)
    sold.do(sold.repaying(FACE))
    yield _fits("repay all, 20 parts", sold.gas)


def _fits(what: str, gas: int) -> Figure:
    return Figure(what, gas, "gas", TRANSACTION_GAS_CAP / 2)


def _materialise(owed: Owed) -> list[bytes]:
    """A hundred in batches; the gas is that of the last."""
    made = [owed.receivable(11, creditor=1_000 + at) for at in range(MOST_ACKNOWLEDGED)]
    owed.issue(*made)
    return [receivable_acts.receivable_id(each) for each in made]


def _claim(owed: Owed) -> int:
    """Of the first hundred of more."""
    trades = [TradeClaim(50_000 + at, YUAN, at.to_bytes(32, "big")) for at in range(2 * part_acts.CLAIMED_AT_ONCE)]
    name = owed.issue(owed.receivable(12, trades_root=merkle.root([each.claim_leaf for each in trades])))
    owed.do(part_acts.claim_all_trades(name, trades)[0])
    return owed.gas
