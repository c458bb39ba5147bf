"""Buckets of messages: exact at the edge, bounded in memory, cancels apart from orders."""

import pytest

from market.guards import Controls
from market.problems import ProblemError
from market.rate import SECOND_NS, Buckets, MessageRates, Pace, network_of, wait_seconds_ceil


class Now:
    def __init__(self) -> None:
        self.ns = 5 * SECOND_NS

    def __call__(self) -> int:
        return self.ns


def test_a_burst_passes_then_the_pace_holds_to_the_nanosecond() -> None:
    now = Now()
    buckets: Buckets[str] = Buckets(10, now)
    pace = Pace(per_s=10, burst=3)
    assert [buckets.take("a", pace) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", pace) == SECOND_NS // 10
    now.ns += SECOND_NS // 10 - 1
    assert buckets.take("a", pace) == 1
    now.ns += 1
    assert buckets.take("a", pace) == 0


def test_what_does_not_fit_takes_nothing() -> None:
    buckets: Buckets[str] = Buckets(10, Now())
    pace = Pace(per_s=10, burst=3)
    assert buckets.take("a", pace, 2) == 0
    assert buckets.take("a", pace, 2) > 0
    assert buckets.take("a", pace, 1) == 0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    now = Now()
    buckets: Buckets[str] = Buckets(10, now)
    pace = Pace(per_s=10, burst=3)
    assert buckets.take("a", pace) == 0
    now.ns += 3600 * SECOND_NS
    assert buckets.take("a", pace, 3) == 0
    assert buckets.take("a", pace) > 0


def test_the_table_is_bounded_and_strangers_beyond_share_one_bucket() -> None:
    now = Now()
    buckets: Buckets[int] = Buckets(100, now)
    pace = Pace(per_s=1, burst=2)
    waits = [buckets.take(address, pace) for address in range(1_000)]
    assert len(buckets) == 100
    assert waits[:102] == [0] * 102
    assert all(waits[102:])
    assert buckets.take(5, pace) == 0, "whoever has a bucket keeps it"


def test_full_buckets_make_room() -> None:
    now = Now()
    buckets: Buckets[int] = Buckets(100, now)
    pace = Pace(per_s=1, burst=1)
    for address in range(200):
        buckets.take(address, pace)
    now.ns += 2 * SECOND_NS
    assert [buckets.take(address, pace) for address in range(200, 300)] == [0] * 100
    assert len(buckets) == 100


def refusal(rates: MessageRates, member_id: int, count: int) -> tuple[int, str, int | None]:
    with pytest.raises(ProblemError) as caught:
        rates.orders(member_id, count)
    problem = caught.value.problem
    return problem.status, problem.code, problem.retry_after_s


def test_a_batch_counts_its_orders_and_cancels_count_apart() -> None:
    rates = MessageRates(members=Pace(1, 10), batch_orders=8, now_ns=Now())
    assert refusal(rates, 7, 9) == (422, "batch_too_large", None)
    rates.orders(7, 8)
    assert refusal(rates, 7, 4) == (429, "too_many_messages", 2)
    rates.orders(7, 2)
    for _ in range(10):
        rates.cancels(7)
    rates.orders(8, 8)


def test_own_limits_hold_instead_of_the_markets() -> None:
    rates = MessageRates(members=Pace(1, 10), batch_orders=8, now_ns=Now())
    rates.set_own([Controls(7, messages_per_s=5, message_burst=2), Controls(8, batch_orders=3)])
    assert refusal(rates, 7, 3)[1] == "batch_too_large"
    rates.orders(7, 2)
    assert refusal(rates, 7, 1)[1] == "too_many_messages"
    assert refusal(rates, 8, 4)[1] == "batch_too_large"
    rates.set_own([Controls(8)])
    rates.orders(8, 8)


def test_one_subscriber_is_one_sender() -> None:
    assert network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2::9")
    assert network_of("2001:db8:1:2::9") != network_of("2001:db8:1:3::9")
    assert len(network_of("x" * 1000)) == 64


def test_whole_seconds_to_wait_are_rounded_up() -> None:
    assert [wait_seconds_ceil(ns) for ns in (1, SECOND_NS, SECOND_NS + 1)] == [1, 1, 2]
