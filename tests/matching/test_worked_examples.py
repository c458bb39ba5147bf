"""The four worked examples of docs/market_rules.md, word for word."""

from tests.matching.market_script import Play


def test_1_the_delivered_price_counts_not_the_asked_one(play: Play):
    play("""
        A2 sells 1.00 @ 0.40    -> rests
        B1 sells 1.00 @ 0.38    -> rests
        A1 buys 1.50 @ 0.45     -> 1.00 A2>A1* 0.40/0.42 transformer; 0.50 B1>A1* 0.38/0.43 feeder
    """)


def test_2_at_one_delivered_price_the_nearer_trades(play: Play):
    play("""
        A2 sells 1.00 @ 0.41    -> rests
        B1 sells 1.00 @ 0.38    -> rests
        A1 buys 1.00 @ 0.45     -> 1.00 A2>A1* 0.41/0.43 transformer
    """)


def test_3_the_price_is_the_limit_of_whoever_came_first(play: Play):
    play("""
        A1 buys 1.00 @ 0.45     -> rests
        B1 sells 1.00 @ 0.30    -> 1.00 B1*>A1 0.40/0.45 feeder
    """)


def test_4_a_held_order_trades_when_an_opposite_flow_makes_room(play: Play):
    play("""
        limit B export 1.00 import none          -> limited
        A1 buys 2.00 @ 0.45 reach feeder         -> rests
        B1 sells 1.00 @ 0.30                     -> 1.00 B1*>A1 0.40/0.45 feeder
        B3 sells 1.00 @ 0.32                     -> rests
        B2 buys 0.50 @ 0.33                      -> rests
        C1 sells 0.50 @ 0.20   -> 0.50 C1*>B2 0.22/0.33 substation; 0.50 B3*>A1 0.40/0.45 feeder
    """)
