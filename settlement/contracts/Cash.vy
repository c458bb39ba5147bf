# pragma version 0.4.3
"""
@title Cash: settlement money with six decimals, a mirror of the custodian's sub-ledger
@notice Moves only for escrow, settlement, financing and repayment. Supply = minted - burned = sum of the balances;
        a bank reference is consumed once. The account of a contract is its address as a number. Nothing is minted when
        the custodian's last signed balance was below supply, or is more than 36 hours old.
"""

import eip712

initializes: eip712

interface IMembers:
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view
    def are_members(members: DynArray[uint256, 100]) -> bool: view

interface IClearing:
    def enter_minted(entries: DynArray[Entry, 100]): nonpayable

struct Mint:
    member: uint256
    amount: uint256
    reference: bytes32
    to_escrow: bool

struct Entry:
    member: uint256
    amount: uint256

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

event Moved:
    source: indexed(uint256)
    target: indexed(uint256)
    amount: uint256
    source_balance: uint256
    target_balance: uint256


CUSTODIAN: constant(uint256) = 8
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

balance_of: public(HashMap[uint256, uint256])
supply: public(uint256)
is_reference_used: public(HashMap[bytes32, bool])
attestation: public(Attestation)


@deploy
def __init__(salt: bytes32, members: address, clearing: address, receivables: address):
    """
    @param salt 32 random genesis bytes
    @param clearing, receivables The two contracts that may move money, known before they are deployed
    """
    eip712.__init__(salt)
    MEMBERS = IMembers(members)
    CLEARING = IClearing(clearing)
    RECEIVABLES = receivables
    self.attestation = Attestation(as_of_s=block.timestamp, balance=0, is_backed=True)


@external
def mint_many(mints: DynArray[Mint, 100], approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Money that reached the custodian, to members' balances or straight into their escrow
    @dev Member 0 with `to_escrow` is the guarantee fund. What is minted twice is refused by its reference.
    """
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
        assert not self.is_reference_used[mint.reference], "reference_used"
        self.is_reference_used[mint.reference] = True
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
    @param reference The bank's own, consumed once
    """
    eip712._check_deadline(deadline)
    assert amount != 0, "amount_out_of_range"
    assert not self.is_reference_used[reference], "reference_used"
    assert self.balance_of[member] >= amount, "insufficient_cash"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(BURN, member, amount, reference, nonce, deadline)))
    assert staticcall MEMBERS.check_mover(member, digest, r, s)
    assert staticcall MEMBERS.has_approvals(CUSTODIAN, digest, approvals), "approvals_missing"
    eip712._use_nonce(member, nonce)
    self.is_reference_used[reference] = True
    self.balance_of[member] -= amount
    self.supply -= amount
    log Burned(member=member, amount=amount, reference=reference, balance=self.balance_of[member])


@external
def move(source: uint256, target: uint256, amount: uint256):
    """
    @notice Move money between two accounts; only for Clearing and Receivables, which have checked who signed
    """
    self._check_sender()
    self._move(source, target, amount)


@external
def split(source: uint256, first: uint256, first_amount: uint256, second: uint256, second_amount: uint256):
    """
    @notice Move money from one account to two, or to neither; an amount may be zero
    """
    self._check_sender()
    if first_amount != 0:
        self._move(source, first, first_amount)
    if second_amount != 0:
        self._move(source, second, second_amount)


@internal
@view
def _check_sender():
    assert msg.sender == CLEARING.address or msg.sender == RECEIVABLES, "not_a_mover"


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
