"""Many lines, few transfers: parts are ascending, debits first, at most 300 accounts, and add up to zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import netting
from settlement.delivery import How, Kind, Line


def line(member: int, counterparty: int, amount_micro: int, how: How = How.CYCLE) -> Line:
    return Line(0, member, 1, Kind.ENERGY, counterparty, 1, 1, abs(amount_micro), amount_micro, how)


def pair(payer: int, payee: int, amount_micro: int, how: How = How.CYCLE) -> list[Line]:
    return [line(payer, payee, -amount_micro, how), line(payee, payer, amount_micro, how)]


def test_lines_of_a_cycle_net_to_one_delta_per_account_and_others_do_not_move() -> None:
    lines = [*pair(100, 101, 500), *pair(101, 100, 200), *pair(101, 102, 300), *pair(100, 102, 999, How.TERMS)]
    assert netting.net(lines) == {100: -300, 102: 300}
    assert netting.count_transfers(lines) == netting.Transfers(before=3, after=2)


def test_debits_come_first_each_ascending() -> None:
    assert netting.split({7: 5, 9: -3, 2: 4, 8: -6}) == [netting.Part(((8, -6), (9, -3), (2, 4), (7, 5)), 0)]


def test_parts_are_cut_at_300_accounts_each_with_its_sum() -> None:
    deltas = dict.fromkeys(range(1, 401), -1) | {1_000: 400}
    parts = netting.split(deltas)
    assert [(len(part.deltas), part.sum_micro) for part in parts] == [(300, -300), (101, 300)]


def test_nothing_to_move_is_one_empty_part() -> None:
    assert netting.split({}) == [netting.Part((), 0)]


def test_more_accounts_than_a_cycle_takes_are_refused() -> None:
    deltas = {account: 1 if account % 2 else -1 for account in range(300 * 64 + 2)}
    with pytest.raises(netting.TooManyAccountsError):
        netting.split(deltas)


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900), st.integers(-50, 50)), max_size=900))
def test_parts_are_valid_for_the_contract(transfers: list[tuple[int, int, int]]) -> None:
    lines = [line for payer, payee, amount in transfers if payer != payee for line in pair(payer, payee, amount)]
    parts = netting.split(netting.net(lines))
    deltas = [delta for part in parts for delta in part.deltas]
    debits, credits_ = [d for d in deltas if d[1] < 0], [d for d in deltas if d[1] > 0]
    assert deltas == debits + credits_, "debits before credits over all the parts"
    for phase in (debits, credits_):
        accounts = [account for account, _ in phase]
        assert accounts == sorted(set(accounts)), "strictly ascending"
    assert len({account for account, _ in deltas}) == len(deltas)
    assert sum(part.sum_micro for part in parts) == 0
    assert all(part.sum_micro == sum(amount for _, amount in part.deltas) for part in parts)
    assert all(len(part.deltas) == netting.PART_ACCOUNTS for part in parts[:-1])
    assert len(parts[-1].deltas) <= netting.PART_ACCOUNTS
    assert dict(deltas) == netting.net(lines)
