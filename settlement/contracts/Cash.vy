# pragma version 0.4.3
"""
@title Cash: settlement money with six decimals, a mirror of the custodian's sub-ledger
@notice Moves only for escrow, settlement, financing and repayment. Supply = minted - burned = sum of the balances;
        a bank reference is consumed once. The account of a contract is its address as a number. Nothing is minted when
        the custodian's last signed balance was below supply, or is more than 36 hours old.
"""

import eip712
import migration

initializes: eip712
initializes: migration

exports: (
    migration.state,
    migration.seal,
    migration.sealed_part,
    migration.imported,
    migration.next_seal,
)

interface IMembers:
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view
    def are_members(members: DynArray[uint256, 100]) -> bool: view
    def may_seal() -> bool: view
    def successors() -> Successors: view

interface IPredecessor:
    def clearing_account() -> uint256: view
    def supply() -> uint256: view
    def is_reference_used(reference: bytes32) -> bool: view

interface IClearing:
    def enter_minted(entries: DynArray[Entry, 100]): nonpayable

struct Mint:
    member: uint256
    amount: uint256
    reference: bytes32
    to_escrow: bool

# an account that is paid
struct Payee:
    account: uint256
    amount: uint256

struct Entry:
    member: uint256
    amount: uint256

# an account as it goes to the successor
struct Row:
    account: uint256
    balance: uint256

# as Members has them
struct Successors:
    members: address
    cash: address
    clearing: address
    sealable_from_s: uint256

# the custodian's word on what it holds: `balance` at the second `as_of_s`, and whether that was at least the supply
struct Attestation:
    as_of_s: uint256
    balance: uint256
    is_backed: bool


event Minted:
    member: indexed(uint256)
    amount: uint256
    reference: bytes32
    to_escrow: bool
    balance: uint256

event Burned:
    member: indexed(uint256)
    amount: uint256
    reference: bytes32
    balance: uint256

event BalanceAttested:
    as_of_s: uint256
    balance: uint256
    supply: uint256

# an account as the predecessor had it
event Imported:
    account: indexed(uint256)
    balance: uint256

event Moved:
    source: indexed(uint256)
    target: indexed(uint256)
    amount: uint256
    source_balance: uint256
    target_balance: uint256


CUSTODIAN: constant(uint256) = 8
GOVERNANCE: constant(uint256) = 32
# keeps every later product of two amounts inside 256 bits
MAX_SUPPLY: constant(uint256) = 2**96 - 1

MAX_ATTESTATION_AGE_S: constant(uint256) = 36 * 3600
# the custodian's clock and the chain's may be so far apart
CLOCK_GRACE_S: constant(uint256) = 600

MINT_MANY: constant(bytes32) = keccak256("MintMany(bytes32 mintsHash)")
ATTEST_BALANCE: constant(bytes32) = keccak256("AttestBalance(uint256 asOf,uint256 balance)")
BURN: constant(bytes32) = keccak256(
    "Burn(uint256 member,uint256 amount,bytes32 reference,uint256 nonce,uint256 deadline)"
)

MEMBERS: immutable(IMembers)
CLEARING: immutable(IClearing)
RECEIVABLES: immutable(address)
SALES: immutable(address)
PREDECESSOR: immutable(address)

balance_of: public(HashMap[uint256, uint256])
supply: public(uint256)
used_references: HashMap[bytes32, bool]
attestation: public(Attestation)
# of the parts sealed or imported so far
migrated_total: uint256


@deploy
def __init__(
    salt: bytes32, members: address, clearing: address, receivables: address, sales: address, predecessor: address
):
    """
    @param salt 32 random genesis bytes
    @param clearing, receivables, sales The contracts that may move money, known before they are deployed
    @param predecessor Whose balances these will be, none for the first
    """
    eip712.__init__(salt)
    migration.__init__(predecessor)
    PREDECESSOR = predecessor
    MEMBERS = IMembers(members)
    CLEARING = IClearing(clearing)
    RECEIVABLES = receivables
    SALES = sales
    self.attestation = Attestation(as_of_s=block.timestamp, balance=0, is_backed=True)


@external
def mint_many(mints: DynArray[Mint, 100], approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Money that reached the custodian, to members' balances or straight into their escrow
    @dev Member 0 with `to_escrow` is the guarantee fund. What is minted twice is refused by its reference.
         Reverts: closed, balance_below_supply, balance_late, approvals_missing, amount_out_of_range,
         reference_used, unknown_member, supply_out_of_range.
    @param mints Up to 100: whose, how much, under which bank reference, and whether into escrow
    @param approvals The custodian's
    """
    migration._check_open()
    assert self.attestation.is_backed, "balance_below_supply"
    assert block.timestamp <= self.attestation.as_of_s + MAX_ATTESTATION_AGE_S, "balance_late"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(MINT_MANY, keccak256(abi_encode(mints)))))
    assert staticcall MEMBERS.has_approvals(CUSTODIAN, digest, approvals), "approvals_missing"
    members: DynArray[uint256, 100] = []
    entries: DynArray[Entry, 100] = []
    minted: uint256 = 0
    entered: uint256 = 0
    for mint: Mint in mints:
        assert mint.amount != 0 and mint.amount <= MAX_SUPPLY, "amount_out_of_range"
        assert not self._is_reference_used(mint.reference), "reference_used"
        self.used_references[mint.reference] = True
        minted += mint.amount
        if mint.member != 0:
            members.append(mint.member)
        if mint.to_escrow:
            entered += mint.amount
            entries.append(Entry(member=mint.member, amount=mint.amount))
        else:
            assert mint.member != 0, "unknown_member"
            self.balance_of[mint.member] += mint.amount
        log Minted(
            member=mint.member,
            amount=mint.amount,
            reference=mint.reference,
            to_escrow=mint.to_escrow,
            balance=self.balance_of[mint.member],
        )
    assert staticcall MEMBERS.are_members(members), "unknown_member"
    assert self.supply + minted <= MAX_SUPPLY, "supply_out_of_range"
    self.supply += minted
    if entered != 0:
        self.balance_of[self._account(CLEARING.address)] += entered
        extcall CLEARING.enter_minted(entries)


@external
def attest_balance(as_of_s: uint256, balance: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice The custodian's signed balance, at least once in 36 hours; below supply, nothing more is minted
    @dev Reverts: balance_not_newer, balance_from_the_future, approvals_missing. Deployment counts as the first.
    @param as_of_s When the custodian held so much, seconds since the epoch; later than the last
    @param balance Micro-yuan held for this market; what was paid out counts until it is burned
    @param approvals The custodian's
    """
    assert as_of_s > self.attestation.as_of_s, "balance_not_newer"
    assert as_of_s <= block.timestamp + CLOCK_GRACE_S, "balance_from_the_future"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ATTEST_BALANCE, as_of_s, balance)))
    assert staticcall MEMBERS.has_approvals(CUSTODIAN, digest, approvals), "approvals_missing"
    self.attestation = Attestation(as_of_s=as_of_s, balance=balance, is_backed=balance >= self.supply)
    log BalanceAttested(as_of_s=as_of_s, balance=balance, supply=self.supply)


@external
def burn(
    member: uint256,
    amount: uint256,
    reference: bytes32,
    nonce: uint256,
    deadline: uint256,
    r: uint256,
    s: uint256,
    approvals: DynArray[eip712.Approval, 5],
):
    """
    @notice Money paid out by the custodian; signed by the member and approved by the custodian, over one digest
    @dev Reverts: closed, deadline_passed, amount_out_of_range, reference_used, insufficient_cash,
         approvals_missing, nonce_used.
    @param member Who is paid
    @param amount Micro-yuan
    @param reference The bank's own, consumed once
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    @param approvals The custodian's
    """
    migration._check_open()
    eip712._check_deadline(deadline)
    assert amount != 0, "amount_out_of_range"
    assert not self._is_reference_used(reference), "reference_used"
    assert self.balance_of[member] >= amount, "insufficient_cash"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(BURN, member, amount, reference, nonce, deadline)))
    assert staticcall MEMBERS.check_mover(member, digest, r, s)
    assert staticcall MEMBERS.has_approvals(CUSTODIAN, digest, approvals), "approvals_missing"
    eip712._use_nonce(member, nonce)
    self.used_references[reference] = True
    self.balance_of[member] -= amount
    self.supply -= amount
    log Burned(member=member, amount=amount, reference=reference, balance=self.balance_of[member])


@external
def move(source: uint256, target: uint256, amount: uint256):
    """
    @notice Move money between two accounts; only for Clearing, Receivables and Sales, which have checked who signed
    @dev Reverts: closed, not_a_mover, insufficient_cash.
    @param source The account that pays
    @param target The account that receives
    @param amount Micro-yuan
    """
    self._check_sender()
    self._move(source, target, amount)


@external
def spread(source: uint256, payees: DynArray[Payee, 20]):
    """
    @notice Move money from one account to several, or to none of them; for the same contracts
    @dev Reverts: closed, not_a_mover, insufficient_cash.
    @param source The account that pays
    @param payees Up to 20 accounts that receive, with micro-yuan for each
    """
    self._check_sender()
    for payee: Payee in payees:
        self._move(source, payee.account, payee.amount)


@external
@view
def is_reference_used(reference: bytes32) -> bool:
    """
    @notice Whether a bank reference was consumed, here or by a predecessor
    @param reference Hash of the bank's own
    @return Whether it can not be used again
    """
    return self._is_reference_used(reference)


@external
@view
def clearing_account() -> uint256:
    """
    @notice Where all escrow is
    @return Clearing's account: its address as a number
    """
    return self._account(CLEARING.address)


# ------------------------------------------------------------------------------------------- migration


@external
@view
def successor() -> address:
    """
    @notice The contract that takes the place of this one, none unless announced
    @return Its address
    """
    return (staticcall MEMBERS.successors()).cash


@external
def seal_balances(
    accounts: DynArray[uint256, 100], index: uint256, afresh: bool, approvals: DynArray[eip712.Approval, 5]
):
    """
    @notice Close this contract and seal the balances of the next accounts; approved by governance
    @dev Reverts: too_early, index_out_of_order, approvals_missing, sealed, accounts_not_ascending.
    @param accounts Ascending, above all of the parts before; those without a balance may be left out
    @param index Next seal index, from 0
    @param afresh Begin again: the lists before were wrong
    @param approvals Governance's
    """
    assert staticcall MEMBERS.may_seal(), "too_early"
    content: bytes32 = migration._seal_content(index, afresh, keccak256(abi_encode(accounts)))
    assert staticcall MEMBERS.has_approvals(GOVERNANCE, eip712._digest(content), approvals), "approvals_missing"
    next_account: uint256 = migration._begin_part(index, afresh)
    if afresh:
        self.migrated_total = 0
    rows: DynArray[Row, 100] = []
    total: uint256 = 0
    for account: uint256 in accounts:
        assert account >= next_account, "accounts_not_ascending"
        next_account = account + 1
        total += self.balance_of[account]
        rows.append(Row(account=account, balance=self.balance_of[account]))
    self.migrated_total += total
    migration._seal_part(keccak256(abi_encode(rows)), next_account)


@external
def complete_seal():
    """
    @notice End the sealing, once all money is in it; anyone may send it
    @dev Reverts: not_sealed, sealed, total_not_supply.
    """
    assert self.migrated_total == self.supply, "total_not_supply"
    migration._complete_seal()


@external
def import_balances(rows: DynArray[Row, 100], part_index: uint256):
    """
    @notice Take over the next sealed part of the predecessor; anyone may send it, no other part fits
    @dev Reverts: not_importing, part_out_of_order, wrong_part. The old Clearing's money is the new Clearing's.
    @param rows As they were sealed
    @param part_index 0, 1, 2 ...
    """
    migration._import_part(part_index, keccak256(abi_encode(rows)))
    old_clearing: uint256 = staticcall IPredecessor(PREDECESSOR).clearing_account()
    for row: Row in rows:
        account: uint256 = row.account
        if account == old_clearing:
            account = self._account(CLEARING.address)
        self.balance_of[account] = row.balance
        self.migrated_total += row.balance
        log Imported(account=account, balance=row.balance)


@external
def open():
    """
    @notice Begin, with exactly the balances that the predecessor sealed; anyone may send it
    @dev Reverts: not_importing, not_the_successor, not_sealed, wrong_root, total_not_supply.
    """
    migration._open()
    assert self.migrated_total == staticcall IPredecessor(PREDECESSOR).supply(), "total_not_supply"
    self.supply = self.migrated_total


@internal
@view
def _is_reference_used(reference: bytes32) -> bool:
    if self.used_references[reference]:
        return True
    if PREDECESSOR == empty(address):
        return False
    return staticcall IPredecessor(PREDECESSOR).is_reference_used(reference)


@internal
@view
def _check_sender():
    migration._check_open()
    is_mover: bool = msg.sender == CLEARING.address or msg.sender == RECEIVABLES or msg.sender == SALES
    assert is_mover, "not_a_mover"


@internal
def _move(source: uint256, target: uint256, amount: uint256):
    assert self.balance_of[source] >= amount, "insufficient_cash"
    self.balance_of[source] -= amount
    self.balance_of[target] += amount
    log Moved(
        source=source,
        target=target,
        amount=amount,
        source_balance=self.balance_of[source],
        target_balance=self.balance_of[target],
    )


@internal
@pure
def _account(contract: address) -> uint256:
    return convert(convert(contract, uint160), uint256)
