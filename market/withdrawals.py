"""Withdrawals: out of escrow in two steps, then to the member's bank account.

==========  ================================================================================================
requested   the member asked and signed; buying power fell with the answer; the request is on its way
waiting     the chain has the request; it is due when every slot tradable then has been settled
replaced    a later request of the member took its place
refused     the contract did not take it, ``refusal`` says why
free        it left escrow, or was free cash from the start; the member may sign the payout
signed      the member signed the payout; the custodian may pay
confirmed   the custodian confirmed under its bank's reference; the burn is on its way
paid        burned: settlement money is gone, the bank's has moved
==========  ================================================================================================

A request reserves at once, in the sequencer, what it asks for: on top of what earlier requests hold until the chain
says that they are replaced, for until then either could be carried out. The contract knows no way to take a request
back; a later one, however small, replaces it.
"""

from dataclasses import dataclass
from functools import partial

from market import withdrawal_store
from market.jobs import PlainJob
from market.problems import Problem
from market.state import MarketState
from market.withdrawal_store import Withdrawal
from settlement.acts import Payout
from settlement.keccak import keccak

STATES = ("requested", "waiting", "replaced", "refused", "free", "signed", "confirmed", "paid")


@dataclass
class RequestWithdrawal(PlainJob):
    """Answers the number of the withdrawal, new or with the same nonce, or a Problem.

    From ``escrow``, it must be covered by what is available, earlier requests counted as replaced; whether ``cash`` is
    there was looked up by whoever asks.
    """

    member_id: int
    source: str
    amount_micro: int
    nonce: int
    deadline_s: int
    signature: bytes
    outcome: int | Problem | None = None

    def run(self, state: MarketState) -> None:
        known = state.withdrawals.get((self.member_id, self.nonce))
        self.outcome = known or self._refusal(state) or self._request(state)

    def _refusal(self, state: MarketState) -> Problem | None:
        member = state.members.get(self.member_id)
        if member is None or not member.is_admitted:
            return Problem(403, "frozen", "this member may not withdraw")
        if self.deadline_s <= state.now_s:
            return Problem(422, "deadline_passed", "the request's own deadline has passed", "deadline")
        if self.source == "escrow":
            account = state.exposures.account(self.member_id)
            if self.amount_micro > account.available_micro + account.leaving_micro:
                return Problem(
                    422, "insufficient_funds", "open orders and unsettled trades need it; see /v1/account", "amount"
                )
        return None

    def _request(self, state: MarketState) -> int:
        number = len(state.withdrawals) + 1
        is_free = self.source == "cash"
        new = Withdrawal(
            number,
            self.member_id,
            self.source,
            self.amount_micro,
            self.nonce,
            self.deadline_s,
            self.signature,
            state.now_s,
            "free" if is_free else "requested",
            state.now_s,
            payable_micro=self.amount_micro if is_free else None,
        )
        state.withdrawals[self.member_id, self.nonce] = number
        if not is_free:
            state.exposures.leave(number, self.member_id, self.amount_micro)
        state.batch.writes.append(partial(withdrawal_store.add, new=new))
        return number

    def answer(self, state: MarketState) -> int | Problem:
        assert self.outcome is not None
        return self.outcome


def reference_of(chain_id: int, number: int) -> str:
    """What the custodian's payment is called, and the burn's reference before it is hashed: once in all markets."""
    return f"jinsha-{chain_id}-withdrawal-{number}"


def payout_of(chain_id: int, withdrawal: Withdrawal, *, nonce: int, deadline_s: int) -> Payout:
    """What member and custodian sign, in the domain of ``Cash``."""
    assert withdrawal.payable_micro is not None
    reference = keccak(reference_of(chain_id, withdrawal.withdrawal).encode())
    return Payout(withdrawal.member_id, withdrawal.payable_micro, reference, nonce, deadline_s)
