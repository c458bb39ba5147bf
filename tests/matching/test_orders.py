"""What can become of an order: time in force, baskets, amendments, gate closure, refusals (docs/market_rules.md)."""

import pytest

from tests.matching.market_script import Play

# ------------------------------------------------------------------------------------------ time in force


def test_gtc_rests_until_it_is_cancelled(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        cancel A2                   -> A2 ends by_owner 1.00
        A1 buys 1.00 @ 0.45         -> rests
        cancel A2                   -> A2 refused not_open
    """)


def test_ioc_trades_what_it_can_and_the_rest_is_cancelled(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        x: A1 buys 1.50 @ 0.45 ioc  -> 1.00 A2>x* 0.40/0.42 transformer; x ends unfilled_ioc 0.50
        y: A1 buys 1.50 @ 0.45 ioc  -> y ends unfilled_ioc 1.50
        A3 sells 1.00 @ 0.40        -> rests
        z: A1 buys 1.00 @ 0.45 ioc  -> 1.00 A3>z* 0.40/0.42 transformer
    """)


def test_fok_trades_all_at_once(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        B1 sells 1.00 @ 0.39        -> rests
        x: A1 buys 2.00 @ 0.45 fok  -> 1.00 A2>x* 0.40/0.42 transformer; 1.00 B1>x* 0.39/0.44 feeder
    """)


def test_fok_that_is_not_filled_undoes_everything(play: Play):
    """The books keep their places, the links their room."""
    play("""
        limit A export none import 1.50   -> limited
        B1 sells 1.00 @ 0.30              -> rests
        B2 sells 1.00 @ 0.30              -> rests
        x: A1 buys 2.00 @ 0.45 fok        -> x ends unfilled_fok 2.00
        y: A1 buys 2.00 @ 0.45            -> 1.00 B1>y* 0.30/0.35 feeder; 0.50 B2>y* 0.30/0.35 feeder; rests 0.50
    """)


def test_fok_stopped_by_a_members_own_order_is_not_filled(play: Play):
    play("""
        A2 sells 1.00 @ 0.30                    -> rests
        mine: A3 sells 1.00 @ 0.31 for Zhang    -> rests
        B1 sells 1.00 @ 0.32                    -> rests
        x: A1 buys 2.00 @ 0.45 fok for Zhang    -> x ends unfilled_fok 2.00
        cancel A2                               -> A2 ends by_owner 1.00
    """)


# ---------------------------------------------------------------------------------------------- baskets


def test_a_basket_trades_all_its_legs_in_the_order_given(play: Play):
    play("""
        A2 sells 1.00 @ 0.30 in s2                          -> rests
        B1 buys 1.00 @ 0.50 in s1                           -> rests
        basket x: A1 buys 1.00 @ 0.45 in s2 | y: A1 sells 0.50 @ 0.20 in s1
              -> 1.00 A2>x* 0.30/0.32 transformer; 0.50 y*>B1 0.45/0.50 feeder
    """)


def test_a_basket_with_one_leg_not_filled_undoes_all(play: Play):
    play("""
        A2 sells 1.00 @ 0.30 in s2                          -> rests
        B1 buys 1.00 @ 0.50 in s1                           -> rests
        basket x: A1 buys 1.00 @ 0.45 in s2 | y: A1 sells 1.01 @ 0.20 in s1
              -> x ends unfilled_basket 1.00; y ends unfilled_basket 1.01
        z: A1 buys 2.00 @ 0.45 in s2                        -> 1.00 A2>z* 0.30/0.32 transformer; rests 1.00
        v: A1 sells 1.00 @ 0.20 in s1                       -> 1.00 v*>B1 0.45/0.50 feeder
        x: A1 buys 1.00 @ 0.45                              -> x refused duplicate_order_id
    """)


def test_the_legs_own_time_in_force_does_not_matter(play: Play):
    play("""
        A2 sells 1.00 @ 0.30                                -> rests
        basket x: A1 buys 2.00 @ 0.45 ioc | y: A3 buys 1.00 @ 0.45 gtc
              -> x ends unfilled_basket 2.00; y ends unfilled_basket 1.00
    """)


def test_a_later_leg_uses_what_an_earlier_one_has_left(play: Play):
    """The first leg sends energy into B, so that the second can send as much out of it."""
    play("""
        limit B export 0.00 import none                     -> limited
        A1 buys 1.00 @ 0.50                                 -> rests
        A2 sells 1.00 @ 0.49                                -> rests
        basket x: B1 sells 0.50 @ 0.20 for Li | y: B2 buys 0.50 @ 0.60 for Li
              -> x ends unfilled_basket 0.50; y ends unfilled_basket 0.50
        basket v: B2 buys 0.50 @ 0.60 for Li | w: B1 sells 0.50 @ 0.20 for Li
              -> 0.50 A2>v* 0.49/0.54 feeder; 0.50 w*>A1 0.45/0.50 feeder
    """)


def test_legs_do_not_trade_with_each_other(play: Play):
    play("""
        basket x: A1 buys 1.00 @ 0.45 for Li | y: A2 sells 1.00 @ 0.20 for Wang
              -> x ends unfilled_basket 1.00; y ends unfilled_basket 1.00
    """)


def test_a_members_own_order_stops_a_leg_and_so_the_basket(play: Play):
    play("""
        A2 sells 1.00 @ 0.30 in s1                          -> rests
        mine: A3 sells 1.00 @ 0.30 in s2 for Zhang          -> rests
        basket x: A1 buys 1.00 @ 0.45 in s1 for Zhang | y: A1 buys 1.00 @ 0.45 in s2 for Zhang
              -> x ends unfilled_basket 1.00; y ends unfilled_basket 1.00
    """)


def test_held_orders_are_tried_in_every_slot_of_a_basket_in_order_of_slot(play: Play):
    play("""
        limit B export 0.00 import none                     -> limited
        a2: A1 buys 1.00 @ 0.37 in s2 reach feeder          -> rests
        b2: B3 sells 1.00 @ 0.32 in s2 reach feeder         -> rests
        c2: B2 buys 0.50 @ 0.33 in s2                       -> rests
        a1: A1 buys 1.00 @ 0.37 in s1 reach feeder          -> rests
        b1: B3 sells 1.00 @ 0.32 in s1 reach feeder         -> rests
        c1: B2 buys 0.50 @ 0.33 in s1                       -> rests
        basket x: C1 sells 0.50 @ 0.20 in s2 | y: C1 sells 0.50 @ 0.20 in s1
              -> 0.50 x*>c2 0.22/0.33 substation; 0.50 y*>c1 0.22/0.33 substation
               ; 0.50 b1*>a1 0.32/0.37 feeder; 0.50 b2*>a2 0.32/0.37 feeder
    """)


# ------------------------------------------------------------------------------------------- amendments


def test_amend_to_less_at_the_same_price_keeps_the_place(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        A3 sells 1.00 @ 0.40        -> rests
        amend A2 to 0.60            -> 0.60 @ 0.40 same place; rests
        amend A2 to 0.50 @ 0.40     -> 0.50 @ 0.40 same place; rests
        amend A2                    -> 0.50 @ 0.40 same place; rests 0.50
        A1 buys 1.00 @ 0.45         -> 0.50 A2>A1* 0.40/0.42 transformer; 0.50 A3>A1* 0.40/0.42 transformer
    """)


def test_amend_to_more_loses_the_place(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        A3 sells 1.00 @ 0.40        -> rests
        amend A2 to 1.01            -> 1.01 @ 0.40 new place; rests
        A1 buys 1.50 @ 0.45         -> 1.00 A3>A1* 0.40/0.42 transformer; 0.50 A2>A1* 0.40/0.42 transformer
    """)


@pytest.mark.parametrize("price", ["0.39", "0.41"])
def test_amend_to_another_price_loses_the_place_even_for_less(play: Play, price: str):
    play(f"""
        A2 sells 1.00 @ {price}     -> rests
        A3 sells 1.00 @ 0.40        -> rests
        amend A2 to 0.50 @ 0.40     -> 0.50 @ 0.40 new place; rests
        A1 buys 1.00 @ 0.45         -> 1.00 A3>A1* 0.40/0.42 transformer
    """)


def test_amend_is_matched_like_a_new_order(play: Play):
    """It is the later of the two now: the buyer's limit is the price."""
    play("""
        A2 sells 1.00 @ 0.50        -> rests
        A1 buys 0.40 @ 0.45         -> rests
        amend A2 @ 0.42             -> 1.00 @ 0.42 new place; 0.40 A2*>A1 0.43/0.45 transformer; rests 0.60
        A3 buys 0.60 @ 0.45         -> 0.60 A2>A3* 0.42/0.44 transformer
        amend A2 to 1.00            -> A2 refused not_open
    """)


def test_amend_means_the_remaining_quantity(play: Play):
    play("""
        A2 sells 1.00 @ 0.40        -> rests
        A1 buys 0.60 @ 0.45         -> 0.60 A2>A1* 0.40/0.42 transformer
        A3 sells 1.00 @ 0.40        -> rests
        amend A2 to 0.50            -> 0.50 @ 0.40 new place; rests
        A4 buys 1.00 @ 0.45         -> 1.00 A3>A4* 0.40/0.42 transformer
    """)


def test_amend_meets_the_members_own_order(play: Play):
    play("""
        A2 sells 1.00 @ 0.50 for Zhang      -> rests
        A1 buys 1.00 @ 0.45 for Zhang       -> rests
        amend A2 @ 0.40                     -> 1.00 @ 0.40 new place; A2 ends self_trade 1.00
        amend A2 @ 0.50                     -> A2 refused not_open
    """)


# -------------------------------------------------------------------------------------------- gate closure


def test_gate_closure_ends_the_slots_orders_in_order_of_time_and_no_others(play: Play):
    play("""
        A2 sells 1.00 @ 0.40 in s1          -> rests
        A3 sells 1.00 @ 0.40 in s1          -> rests
        A1 buys 1.50 @ 0.30 in s1           -> rests
        B1 sells 1.00 @ 0.40 in s2          -> rests
        amend A2 to 2.00                    -> 2.00 @ 0.40 new place; rests
        close s1                            -> A3 ends slot_closed 1.00
                                             ; A1 ends slot_closed 1.50; A2 ends slot_closed 2.00
                                             ; closed
        close s1                            -> nothing
        A4 sells 1.00 @ 0.40 in s1          -> A4 refused slot_closed
        cancel A3                           -> A3 refused not_open
        B2 buys 1.00 @ 0.45 in s2           -> 1.00 B1>B2* 0.40/0.42 transformer
        close s3                            -> closed
        limit B export 1.00 import 1.00 in s1  -> limited
    """)


# ------------------------------------------------------------------------------------------------ refusals


def test_each_refusal_has_its_code(play: Play):
    play("""
        A1 sells 1.00 @ 0.40                -> rests
        close s9                            -> closed
        A1 sells 1.00 @ 0.40                -> A1 refused duplicate_order_id
        x: Z1 sells 1.00 @ 0.40             -> x refused unknown_meter
        x: A sells 1.00 @ 0.40              -> x refused unknown_meter
        x: A1 sells 1.00 @ 0.40 in s9       -> x refused slot_closed
        x: A1 sells 0.00 @ 0.40             -> x refused bad_quantity
        x: A1 sells -1.00 @ 0.40            -> x refused bad_quantity
        x: A1 sells bad @ 0.40              -> x refused bad_quantity
        x: A1 sells 1.00 @ bad              -> x refused bad_price
        x: A1 sells 1.00 @ -0.0001          -> x refused bad_price
        x: A1 sells 1.00 @ 2.0001           -> x refused bad_price
        x: A1 sells 1.00 @ 0.40 terms 31    -> x refused bad_terms
        cancel x                            -> x refused not_open
        amend x to 1.00                     -> x refused not_open
        x: A1 sells 1.00 @ 0.40             -> rests
    """)


def test_floor_and_cap_are_included(play: Play):
    play("""
        A1 sells 1.00 @ 0.00                -> rests
        A2 buys 1.00 @ 2.00                 -> 1.00 A1>A2* 0.00/0.02 transformer
    """)


def test_refusals_are_checked_in_the_order_of_the_page(play: Play):
    """Each line mends the first fault of the line before."""
    play("""
        A1 sells 1.00 @ 0.40                        -> rests
        close s9                                    -> closed
        A1: Z1 sells 0.00 @ 9.00 terms 7 in s9      -> A1 refused duplicate_order_id
        x: Z1 sells 0.00 @ 9.00 terms 7 in s9       -> x refused unknown_meter
        x: A1 sells 0.00 @ 9.00 terms 7 in s9       -> x refused slot_closed
        x: A1 sells 0.00 @ 9.00 terms 7             -> x refused bad_quantity
        x: A1 sells 1.00 @ 9.00 terms 7             -> x refused bad_price
        x: A1 sells 1.00 @ 0.40 terms 7             -> x refused bad_terms
        x: A1 sells 1.00 @ 0.40                     -> rests
    """)


def test_an_id_is_used_once_the_order_was_accepted_whatever_became_of_it(play: Play):
    play("""
        killed: A1 sells 1.00 @ 0.40 fok            -> killed ends unfilled_fok 1.00
        killed: A1 sells 1.00 @ 0.40                -> killed refused duplicate_order_id
        gone: A1 sells 1.00 @ 0.40 ioc              -> gone ends unfilled_ioc 1.00
        gone: A1 sells 1.00 @ 0.40                  -> gone refused duplicate_order_id
        filled: A1 sells 1.00 @ 0.40                -> rests
        A2 buys 1.00 @ 0.45                         -> 1.00 filled>A2* 0.40/0.42 transformer
        filled: A1 sells 1.00 @ 0.40                -> filled refused duplicate_order_id
        cancelled: A1 sells 1.00 @ 0.40             -> rests
        cancel cancelled                            -> cancelled ends by_owner 1.00
        cancelled: A1 sells 1.00 @ 0.40             -> cancelled refused duplicate_order_id
    """)


def test_a_refused_order_changes_nothing(play: Play):
    market = play("")
    market.play("A1 sells 1.00 @ 0.40 -> rests")
    before = list(market.engine.open_orders())
    market.play("""
        x: A2 buys 1.00 @ 0.45 terms 7      -> x refused bad_terms
        amend A1 to 0.00 @ 0.30             -> A1 refused bad_quantity
        amend A1 to 0.50 @ 2.01             -> A1 refused bad_price
        amend A1 to bad @ bad               -> A1 refused bad_quantity
        amend A1 @ bad                      -> A1 refused bad_price
    """)
    assert list(market.engine.open_orders()) == before


def test_the_first_bad_leg_gets_its_reason_and_every_other_leg_basket_rejected(play: Play):
    play("""
        A2 sells 9.00 @ 0.30        -> rests
        basket x: A1 buys 1.00 @ 0.45 | y: A1 buys 0.00 @ 0.45 | z: A1 buys 1.00 @ 9.00
              -> x refused basket_rejected; y refused bad_quantity; z refused basket_rejected
        basket x: A1 buys 1.00 @ 0.45 | A2: A1 buys 1.00 @ 0.45
              -> x refused basket_rejected; A2 refused duplicate_order_id
        x: A1 buys 1.00 @ 0.45      -> 1.00 A2>x* 0.30/0.32 transformer
    """)


def test_a_second_leg_with_the_id_of_a_first_is_a_duplicate(play: Play):
    play("""
        basket x: A1 buys 1.00 @ 0.45 | x: A1 buys 1.00 @ 0.45
              -> x refused basket_rejected; x refused duplicate_order_id
        basket x: A1 buys 1.00 @ 9.00 | x: A1 buys 1.00 @ 0.45
              -> x refused bad_price; x refused basket_rejected
    """)
