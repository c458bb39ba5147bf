"""What the market counts: a small day of trading, scraped and read as Prometheus would."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from market.metrics import Metrics
from tests.market.world import SLOT, World, later, neighbours, open_market, order


class Scrape:
    """The samples of one answer of ``GET /metrics``."""

    def __init__(self, text: str) -> None:
        self.values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.values.get((f"jinsha_{name}", *sorted(labels.items())), 0.0)

    def labels(self, name: str) -> set[str]:
        return {value for (each, *labels) in self.values if each == f"jinsha_{name}" for _, value in labels}


async def scrape(world: World, **headers: str) -> Scrape:
    async with world.http.get(f"{world.server}/metrics", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Scrape(await answer.text())


async def test_a_day_is_counted(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        before = await scrape(world)
        assert (await bo.place(order("s1", "A2", "sell", "3.00", "0.40"))).status == 201
        buys = [
            order("b1", "A1", "buy", "1.00", "0.45"),
            order("b2", "A1", "buy", "9.00", "0.10"),
            order("b3", "A1", "buy", "1.00", "9.99"),
            order("b4", "A1", "buy", "1.00", "0.10", tif="ioc"),
        ]
        await ann.place_batch(buys)
        await ann.place_batch(buys)
        assert (await ann.place(order("b5", "A2", "buy", "1.00", "0.45"))).status == 422
        assert (await ann.delete("/v1/orders/b2")).status == 200
        assert (await ann.delete("/v1/orders/b2")).status == 409
        assert (await world.get("/v1/nothing")).status == 404
        operator = await world.institution("operator")
        moved = await operator.post("/v1/clock", {"now": later(SLOT, 1)})
        assert moved.status == 200, moved
        after = await scrape(world)

    def rise(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    outcomes = {each: rise("orders_total", outcome=each) for each in after.labels("orders_total")}
    assert outcomes == {"open": 2, "filled": 1, "refused": 5, "repeated": 2}

    assert rise("order_refusals_total", code="bad_price") == 2
    assert rise("order_refusals_total", code="not_meter_owner") == 1
    assert rise("order_refusals_total", code="not_open") == 1
    assert (rise("trades_total"), rise("cancels_total"), rise("gate_closures_total")) == (1, 1, 1)
    assert rise("batch_jobs_sum") >= 6 and rise("batch_jobs_count") == rise("batch_match_seconds_count")
    assert rise("batch_commit_seconds_count") <= rise("queue_wait_seconds_count")
    assert after("open_orders") == 0 and after("sequencer_up") == 1 and after("queue_bound_orders") == 20_000
    assert after("database_up") == 1 and after("queue_orders") == 0 and after("outbox_waiting") == 2
    placed = {"method": "POST", "route": "/v1/orders"}
    assert rise("http_requests_total", **placed, status="201") == 1
    assert rise("http_requests_total", **placed, status="422") == 1
    assert rise("http_request_seconds_count", **placed) == 2
    assert rise("http_requests_total", method="DELETE", route="/v1/orders/{client_order_id}", status="409") == 1
    assert rise("http_requests_total", method="GET", route="unknown", status="404") == 1
    assert rise("http_problems_total", code="not_open") == 1
    assert after("http_requests_under_way") == 0
    assert after.values[("process_resident_memory_bytes",)] > 10**6


async def test_labels_are_bounded(tmp_path: Path) -> None:
    """Whatever is asked for, no new label is born of it."""
    async with open_market(tmp_path) as world:
        for number in range(5):
            await world.call("PROPFIND", f"/v1/strange{number}")
            await world.get(f"/v1/strange{number}?{number}")
        seen = await scrape(world)
        assert seen.labels("http_requests_total") == {"GET", "other", "unknown", "404"}


async def test_who_may_read_them(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        regulator = await world.institution("regulator")
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        assert (await world.call("GET", "/metrics", headers=forwarded)).status == 401
        assert (await world.call("GET", "/metrics", token=ann.token, headers=forwarded)).status == 403
        await scrape(world, **forwarded, Authorization=f"Bearer {regulator.token}")


def test_two_servers_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.trades.inc(3)
    assert b"jinsha_trades_total 3.0" in one.text() and b"jinsha_trades_total 0.0" in other.text()
