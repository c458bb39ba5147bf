# pragma version 0.4.3
"""
@title Trade claims: each trade belongs to one receivable
@notice Trades are claimed in their order under the receivable's root, in as many calls as needed. Each call proves that
        what it claims are the root's next leaves, so that nobody can claim what is not there. A trade is free again
        when the receivable that claimed it is void.
"""

import life

uses: life

# what a leaf under a receivable's root holds
struct TradeClaim:
    trade: uint256
    amount: int256
    leaf: bytes32


event TradesClaimed:
    receivable: indexed(bytes32)
    count: uint256
    is_complete: bool


# absent, rejected, cancelled, void
DEAD: constant(uint256) = (1 << life.ABSENT) | (1 << life.REJECTED) | (1 << life.CANCELLED) | (1 << life.VOID)

MAX_HEIGHT: constant(uint256) = 32

claimant_of: public(HashMap[uint256, bytes32])
claimed_count: public(HashMap[bytes32, uint256])
is_complete: public(HashMap[bytes32, bool])
# receivable -> height -> root of the whole subtree of that height at the right end of what is claimed
peaks: HashMap[bytes32, HashMap[uint256, bytes32]]


@external
def claim_trades(
    receivable: bytes32, start: uint256, trades: DynArray[TradeClaim, 100], rest: DynArray[bytes32, 32]
):
    """
    @notice Claim the next trades of a receivable; anyone may. What was claimed by a call before is passed over
    @dev Reverts: illegal_transition, trades_out_of_order, trade_claimed, wrong_trades.
    @param receivable Its id
    @param start How many trades of the receivable come before these
    @param trades Up to 100, in their order
    @param rest Roots of the subtrees to the right of these, from below upward; none when these are the last
    """
    life._check_state(receivable, ~DEAD)
    count: uint256 = self.claimed_count[receivable]
    end: uint256 = start + len(trades)
    assert start <= count, "trades_out_of_order"
    if end <= count:
        return
    at: uint256 = start
    for trade: TradeClaim in trades:
        if at == count:
            self._claim(receivable, trade.trade)
            self._add(receivable, count, keccak256(concat(x"00", abi_encode(trade))))
            count += 1
        at += 1
    assert self._root(receivable, count, rest) == life.claims[receivable].trades_root, "wrong_trades"
    self.claimed_count[receivable] = count
    self.is_complete[receivable] = len(rest) == 0
    log TradesClaimed(receivable=receivable, count=count, is_complete=len(rest) == 0)


@internal
def _add(receivable: bytes32, count: uint256, leaf: bytes32):
    """
    @dev The next leaf after so many: it completes a subtree of each height that it is the last of.
    """
    whole: bytes32 = leaf
    for height: uint256 in range(MAX_HEIGHT):
        if (count >> height) & 1 == 0:
            self.peaks[receivable][height] = whole
            return
        whole = keccak256(concat(x"01", self.peaks[receivable][height], whole))


@internal
def _claim(receivable: bytes32, trade: uint256):
    before: bytes32 = self.claimant_of[trade]
    assert before == empty(bytes32) or life.claims[before].state == life.VOID, "trade_claimed"
    self.claimant_of[trade] = receivable


@internal
@view
def _root(receivable: bytes32, count: uint256, rest: DynArray[bytes32, 32]) -> bytes32:
    """
    @dev Up from the lowest whole subtree: what is claimed already joins from the left, `rest` from the right, until
         there is nothing more to join; an odd node is carried up unchanged.
    """
    root: bytes32 = empty(bytes32)
    used: uint256 = 0
    for height: uint256 in range(MAX_HEIGHT):
        is_whole: bool = (count >> height) & 1 == 1
        if is_whole and root != empty(bytes32):
            root = keccak256(concat(x"01", self.peaks[receivable][height], root))
            continue
        if is_whole:
            root = self.peaks[receivable][height]
        if root != empty(bytes32) and used < len(rest):
            root = keccak256(concat(x"01", root, rest[used]))
            used += 1
    assert used == len(rest), "wrong_trades"
    return root
