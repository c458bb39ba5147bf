"""Which orders fit, which comes first, and at what price: docs/market_rules.md, "The grid" and "Matching"."""

from tests.matching.market_script import Play


def test_orders_fit_when_the_sellers_price_and_the_fee_are_within_the_buyers(play: Play):
    play("""
        A2 sells 1.00 @ 0.4001      -> rests
        A1 buys 1.00 @ 0.42         -> rests
        A3 buys 1.00 @ 0.4201       -> 1.00 A2>A3* 0.4001/0.4201 transformer
    """)


def test_the_distance_is_the_level_of_the_lowest_common_ancestor(play: Play):
    play("""
        A2 buys 1.00 @ 0.50         -> rests
        a1: A1 sells 1.00 @ 0.10    -> 1.00 a1*>A2 0.48/0.50 transformer
        B2 buys 1.00 @ 0.50         -> rests
        a2: A1 sells 1.00 @ 0.10    -> 1.00 a2*>B2 0.45/0.50 feeder
        C2 buys 1.00 @ 0.50         -> rests
        a3: A1 sells 1.00 @ 0.10    -> 1.00 a3*>C2 0.39/0.50 substation
    """)


def test_a_meter_may_hang_under_a_node_of_any_level(play: Play):
    play("""
        F9 buys 1.00 @ 0.50         -> rests
        A1 sells 1.00 @ 0.10        -> 1.00 A1*>F9 0.45/0.50 feeder
        S9 buys 1.00 @ 0.50         -> rests
        A2 sells 1.00 @ 0.10        -> 1.00 A2*>S9 0.39/0.50 substation
    """)


def test_two_orders_at_one_meter_count_as_transformer_and_need_no_link(play: Play):
    play("""
        limit A1 export 0.00 import 0.00                        -> limited
        limit A export 0.00 import 0.00                         -> limited
        sold: A1 sells 1.00 @ 0.40 for Li reach transformer     -> rests
        bought: A1 buys 1.00 @ 0.45 for Wang reach transformer  -> 1.00 sold>bought* 0.40/0.42 transformer
    """)


def test_the_distance_must_be_within_the_takers_reach(play: Play):
    play("""
        B1 sells 1.00 @ 0.10                            -> rests
        C1 sells 1.00 @ 0.10                            -> rests
        near: A1 buys 1.00 @ 0.50 reach transformer     -> rests
        far: A2 buys 3.00 @ 0.50 reach feeder           -> 1.00 B1>far* 0.10/0.15 feeder; rests 2.00
    """)


def test_the_distance_must_be_within_the_resting_orders_reach(play: Play):
    play("""
        B1 sells 1.00 @ 0.10 reach transformer          -> rests
        C1 sells 1.00 @ 0.10 reach feeder               -> rests
        A1 buys 1.00 @ 0.50                             -> rests
        B2 buys 1.00 @ 0.50                             -> 1.00 B1>B2* 0.10/0.12 transformer
    """)


def test_the_buys_terms_are_no_longer_than_the_sells(play: Play):
    play("""
        A2 sells 1.00 @ 0.30 terms 30                   -> rests
        A3 sells 1.00 @ 0.35                            -> rests
        x: A1 buys 1.00 @ 0.45 terms 60                 -> rests
        y: A1 buys 2.00 @ 0.45 terms 30                 -> 1.00 A2>y* 0.30/0.32 transformer; rests 1.00
        z: B1 buys 1.00 @ 0.45                          -> 1.00 A3>z* 0.35/0.40 feeder
        A4 sells 3.00 @ 0.30 terms 30                   -> 1.00 A4*>y 0.43/0.45 transformer; rests 2.00
    """)


def test_a_buyer_takes_the_lowest_delivered_price_first(play: Play):
    play("""
        B1 sells 1.00 @ 0.36        -> rests
        A2 sells 1.00 @ 0.40        -> rests
        A3 sells 1.00 @ 0.37        -> rests
        A1 buys 3.00 @ 0.45         -> 1.00 A3>A1* 0.37/0.39 transformer
                                     ; 1.00 B1>A1* 0.36/0.41 feeder
                                     ; 1.00 A2>A1* 0.40/0.42 transformer
    """)


def test_a_seller_takes_the_highest_price_in_hand_first(play: Play):
    play("""
        B1 buys 1.00 @ 0.45         -> rests
        A2 buys 1.00 @ 0.41         -> rests
        A3 buys 1.00 @ 0.43         -> rests
        A1 sells 3.00 @ 0.30        -> 1.00 A1*>A3 0.41/0.43 transformer
                                     ; 1.00 A1*>B1 0.40/0.45 feeder
                                     ; 1.00 A1*>A2 0.39/0.41 transformer
    """)


def test_at_one_price_a_seller_too_takes_the_nearer_first(play: Play):
    play("""
        B1 buys 1.00 @ 0.45         -> rests
        A2 buys 1.00 @ 0.42         -> rests
        A1 sells 1.00 @ 0.30        -> 1.00 A1*>A2 0.40/0.42 transformer
    """)


def test_at_one_price_and_distance_the_earlier_comes_first(play: Play):
    play("""
        x: A2 sells 1.00 @ 0.40     -> rests
        y: A3 sells 1.00 @ 0.40     -> rests
        z: A4 sells 1.00 @ 0.40     -> rests
        A1 buys 2.50 @ 0.45         -> 1.00 x>A1* 0.40/0.42 transformer
                                     ; 1.00 y>A1* 0.40/0.42 transformer
                                     ; 0.50 z>A1* 0.40/0.42 transformer
        B1 buys 1.00 @ 0.45         -> 0.50 z>B1* 0.40/0.45 feeder; rests 0.50
    """)


def test_earlier_means_the_lower_sequence_number_not_the_lower_order_id(play: Play):
    market = play("")
    market.order_ids |= {"late": 7, "early": 9}
    market.play("""
        early: A2 buys 1.00 @ 0.45      -> rests
        late: A3 buys 1.00 @ 0.45       -> rests
        A1 sells 1.00 @ 0.30            -> 1.00 A1*>early 0.43/0.45 transformer
    """)


def test_the_price_is_the_sellers_limit_when_the_seller_came_first(play: Play):
    play("""
        A2 sells 1.00 @ 0.30        -> rests
        B1 buys 1.00 @ 0.45         -> 1.00 A2>B1* 0.30/0.35 feeder
    """)


def test_slots_do_not_meet(play: Play):
    play("""
        A2 sells 1.00 @ 0.30 in s1      -> rests
        A1 buys 1.00 @ 0.45 in s2       -> rests
        A3 buys 1.00 @ 0.45 in s1       -> 1.00 A2>A3* 0.30/0.32 transformer
    """)


def test_quantities_left_over_rest_with_their_place(play: Play):
    play("""
        A2 sells 3.00 @ 0.30        -> rests
        A1 buys 1.00 @ 0.45         -> 1.00 A2>A1* 0.30/0.32 transformer
        A3 sells 1.00 @ 0.30        -> rests
        A4 buys 2.50 @ 0.45         -> 2.00 A2>A4* 0.30/0.32 transformer; 0.50 A3>A4* 0.30/0.32 transformer
    """)


def test_a_members_own_order_next_in_priority_cancels_the_rest(play: Play):
    play("""
        A2 sells 1.00 @ 0.38                        -> rests
        mine: A3 sells 1.00 @ 0.39 for Zhang        -> rests
        A4 sells 1.00 @ 0.40                        -> rests
        A1 buys 3.00 @ 0.45 for Zhang               -> 1.00 A2>A1* 0.38/0.40 transformer; A1 ends self_trade 2.00
        x: B1 buys 1.00 @ 0.45 for Zhang ioc        -> x ends self_trade 1.00
    """)


def test_a_members_own_order_does_not_matter_when_it_is_not_reached(play: Play):
    play("""
        A2 sells 1.00 @ 0.38                        -> rests
        mine: A3 sells 1.00 @ 0.39 for Zhang        -> rests
        A1 buys 1.00 @ 0.45 for Zhang               -> 1.00 A2>A1* 0.38/0.40 transformer
        low: A1 buys 1.00 @ 0.40 for Zhang          -> rests
        near: B1 buys 1.00 @ 0.45 reach transformer for Zhang  -> rests
    """)


def test_a_members_own_order_stops_it_even_without_room(play: Play):
    play("""
        limit B export 0.00 import none             -> limited
        mine: B1 sells 1.00 @ 0.30 for Zhang        -> rests
        A2 sells 1.00 @ 0.40                        -> rests
        A1 buys 1.00 @ 0.45 for Zhang               -> A1 ends self_trade 1.00
    """)


def test_two_members_may_share_a_meter_and_one_may_own_several(play: Play):
    play("""
        x: A1 sells 1.00 @ 0.30 for Li              -> rests
        y: A1 buys 1.00 @ 0.45 for Wang             -> 1.00 x>y* 0.30/0.32 transformer
        z: B1 sells 1.00 @ 0.30 for Li              -> rests
        v: C1 buys 1.00 @ 0.45 for Li               -> v ends self_trade 1.00
    """)
