# pragma version 0.4.3
"""
@title Escrow seal: what Clearing holds for each account, on its way to the Clearing that follows
@notice All escrow together is Clearing's cash, on the old side and on the new one; credits that are held back and
        arrears go along. Bonds that are locked when the contract closes are the guarantee fund's.
"""

import bonds
import eip712
import escrow
import migration

uses: bonds
uses: eip712
uses: escrow
uses: migration

interface IMembers:
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view
    def may_seal() -> bool: view
    def successors() -> Successors: view

interface ICash:
    def balance_of(account: uint256) -> uint256: view

# as Members has them
struct Successors:
    members: address
    cash: address
    clearing: address
    sealable_from_s: uint256

# an account as it goes to the successor; `standing` is its slot of `escrow.standings`
struct Row:
    account: uint256
    escrow: uint256
    held: uint256
    standing: uint256

struct Totals:
    escrow: uint256
    held: uint256
    arrears: uint256


# an account as the predecessor had it
event EscrowImported:
    account: indexed(uint256)
    escrow: uint256
    arrears: uint256
    held: uint256


GOVERNANCE: constant(uint256) = 32

MEMBERS: immutable(IMembers)
CASH: immutable(ICash)

# of the parts sealed or imported so far
totals: Totals


@deploy
def __init__(members: address, cash: address):
    """
    @param members Who says whether this may be closed, and what takes its place
    @param cash Where the money is
    """
    MEMBERS = IMembers(members)
    CASH = ICash(cash)


@external
@view
def successor() -> address:
    """
    @notice The contract that takes the place of this one, none unless announced
    @return Its address
    """
    return (staticcall MEMBERS.successors()).clearing


@external
def complete_seal():
    """
    @notice End the sealing, once all escrow, all that is held back and all arrears are in it; anyone may send it
    @dev Reverts: not_sealed, sealed, total_not_cash, account_missing.
    """
    assert self.totals.escrow == self._cash(), "total_not_cash"
    assert self.totals.held == escrow.total_held and self.totals.arrears == escrow.total_arrears, "account_missing"
    migration._complete_seal()


@external
def import_escrow(rows: DynArray[Row, 100], part_index: uint256):
    """
    @notice Take over the next sealed part of the predecessor; anyone may send it, no other part fits
    @dev Reverts: not_importing, part_out_of_order, wrong_part.
    @param rows As they were sealed
    @param part_index 0, 1, 2 ...
    """
    migration._import_part(part_index, keccak256(abi_encode(rows)))
    for row: Row in rows:
        escrow._take_over(row.account, row.escrow, row.held, row.standing)
        self.totals.escrow += row.escrow
        log EscrowImported(
            account=row.account,
            escrow=row.escrow,
            arrears=row.standing & escrow.MAX_AMOUNT,
            held=row.held,
        )


@internal
def _seal(
    accounts: DynArray[uint256, 100], index: uint256, afresh: bool, approvals: DynArray[eip712.Approval, 5]
):
    assert staticcall MEMBERS.may_seal(), "too_early"
    content: bytes32 = migration._seal_content(index, afresh, keccak256(abi_encode(accounts)))
    assert staticcall MEMBERS.has_approvals(GOVERNANCE, eip712._digest(content), approvals), "approvals_missing"
    next_account: uint256 = migration._begin_part(index, afresh)
    totals: Totals = self.totals
    if afresh:
        totals = empty(Totals)
    rows: DynArray[Row, 100] = []
    for account: uint256 in accounts:
        assert account >= next_account, "accounts_not_ascending"
        next_account = account + 1
        row: Row = self._row(account)
        totals.escrow += row.escrow
        totals.held += row.held
        totals.arrears += row.standing & escrow.MAX_AMOUNT
        rows.append(row)
    self.totals = totals
    migration._seal_part(keccak256(abi_encode(rows)), next_account)


@internal
@view
def _check_imported():
    """
    @dev The new Cash has taken over what the old one had: all escrow is there.
    """
    assert self.totals.escrow == self._cash(), "total_not_cash"


@internal
@view
def _row(account: uint256) -> Row:
    kept: uint256 = escrow._holding(account)
    if account == escrow.FUND:
        kept += bonds.total_bonds
    return Row(account=account, escrow=kept, held=escrow.helds[account], standing=escrow.standings[account])


@internal
@view
def _cash() -> uint256:
    return staticcall CASH.balance_of(convert(convert(self, uint160), uint256))
