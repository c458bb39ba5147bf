"""What links let through, and the orders that wait for it: docs/market_rules.md, "Room" and "Held orders"."""

import pytest

from matching.book import Book, Order
from matching.reference import ReferenceEngine
from tests.matching.market_script import Market, Play


def test_a_trade_is_cut_to_the_room_on_every_link_of_its_path(play: Play):
    for link, way in (
        ("A1", "export"),
        ("A", "export"),
        ("F", "export"),
        ("G", "import"),
        ("C", "import"),
        ("C1", "import"),
    ):
        limits = "export 0.70 import none" if way == "export" else "export none import 0.70"
        play(f"""
            limit {link} {limits}           -> limited
            A1 sells 2.00 @ 0.20            -> rests
            C1 buys 1.00 @ 0.50             -> 0.70 A1>C1* 0.20/0.31 substation; rests 0.30
        """)


def test_a_limit_holds_in_its_own_direction_only(play: Play):
    play("""
        limit B export none import 0.00     -> limited
        limit C export 0.00 import none     -> limited
        B1 sells 1.00 @ 0.20                -> rests
        C1 buys 1.00 @ 0.50                 -> 1.00 B1>C1* 0.20/0.31 substation
    """)


def test_links_beyond_the_common_ancestor_carry_nothing(play: Play):
    play("""
        limit A export 0.00 import 0.00     -> limited
        limit F export 0.00 import 0.00     -> limited
        A1 sells 1.00 @ 0.20                -> rests
        A2 buys 1.00 @ 0.50                 -> 1.00 A1>A2* 0.20/0.22 transformer
        B1 sells 1.00 @ 0.20                -> rests
        F9 buys 1.00 @ 0.50                 -> 1.00 B1>F9* 0.20/0.25 feeder
    """)


def test_a_counterparty_without_room_is_passed_over_and_stays(play: Play):
    play("""
        limit B export 0.50 import none     -> limited
        B1 sells 1.00 @ 0.20                -> rests
        C1 sells 1.00 @ 0.25                -> rests
        A1 buys 2.00 @ 0.50                 -> 0.50 B1>A1* 0.20/0.25 feeder
                                             ; 1.00 C1>A1* 0.25/0.36 substation
                                             ; rests 0.50
        B2 buys 1.00 @ 0.50                 -> 0.50 B1>B2* 0.20/0.22 transformer; rests 0.50
    """)


def test_opposite_flows_net(play: Play):
    play("""
        limit B export 0.50 import 0.50     -> limited
        B1 sells 2.00 @ 0.20 ioc            -> B1 ends unfilled_ioc 2.00
        A1 buys 5.00 @ 0.50                 -> rests
        x: B1 sells 2.00 @ 0.20 ioc         -> 0.50 x*>A1 0.45/0.50 feeder; x ends unfilled_ioc 1.50
        A2 sells 3.00 @ 0.49                -> rests
        y: B2 buys 2.00 @ 0.60 ioc          -> 1.00 A2>y* 0.49/0.54 feeder; y ends unfilled_ioc 1.00
        z: B1 sells 2.00 @ 0.20 ioc         -> 1.00 z*>A1 0.45/0.50 feeder; z ends unfilled_ioc 1.00
    """)


def test_a_limit_below_the_flow_leaves_no_room_and_undoes_nothing(play: Play):
    play("""
        limit B export 2.00 import 1.00     -> limited
        B1 sells 1.50 @ 0.20                -> rests
        A1 buys 1.50 @ 0.50                 -> 1.50 B1>A1* 0.20/0.25 feeder
        limit B export 1.00 import 1.00     -> limited
        B2 sells 1.00 @ 0.20                -> rests
        A2 buys 1.00 @ 0.50                 -> rests
        C1 sells 0.25 @ 0.20 reach substation -> 0.25 C1*>A2 0.39/0.50 substation
        limit B export 1.75 import 1.00     -> limited; 0.25 B2>A2* 0.20/0.25 feeder
    """)


def test_a_raised_limit_lets_held_orders_trade(play: Play):
    play("""
        limit B export 0.00 import 0.00     -> limited
        B1 sells 1.00 @ 0.20                -> rests
        A1 buys 1.00 @ 0.50                 -> rests
        limit B export 0.40 import 0.00     -> limited; 0.40 B1>A1* 0.20/0.25 feeder
        limit B export none import 0.00     -> limited; 0.60 B1>A1* 0.20/0.25 feeder
    """)


def test_a_limit_for_one_slot_is_for_that_slot(play: Play):
    play("""
        limit B export 0.00 import none in s2   -> limited
        x: B1 sells 1.00 @ 0.20 in s1           -> rests
        y: B1 sells 1.00 @ 0.20 in s2           -> rests
        v: A1 buys 1.00 @ 0.50 in s1            -> 1.00 x>v* 0.20/0.25 feeder
        w: A1 buys 1.00 @ 0.50 in s2            -> rests
        limit B export 0.30 import none in s2   -> limited; 0.30 y>w* 0.20/0.25 feeder
    """)


def test_a_limit_for_one_slot_leaves_the_others_theirs(play: Play):
    play("""
        limit B export 0.20 import none         -> limited
        limit B export none import none in s2   -> limited
        x: B1 sells 1.00 @ 0.20 in s1           -> rests
        y: B1 sells 1.00 @ 0.20 in s2           -> rests
        v: A1 buys 1.00 @ 0.50 in s1            -> 0.20 x>v* 0.20/0.25 feeder; rests 0.80
        w: A1 buys 1.00 @ 0.50 in s2            -> 1.00 y>w* 0.20/0.25 feeder
    """)


def test_a_limit_for_all_slots_replaces_those_for_single_slots_and_holds_for_later_ones(play: Play):
    play("""
        limit B export 0.10 import none in s1   -> limited
        limit B export 0.20 import none         -> limited
        x: B1 sells 1.00 @ 0.20 in s1           -> rests
        v: A1 buys 1.00 @ 0.50 in s1            -> 0.20 x>v* 0.20/0.25 feeder; rests 0.80
        y: B1 sells 1.00 @ 0.20 in s7           -> rests
        w: A1 buys 1.00 @ 0.50 in s7            -> 0.20 y>w* 0.20/0.25 feeder; rests 0.80
        limit B export 0.50 import none in s7   -> limited; 0.30 y>w* 0.20/0.25 feeder
        limit B export 0.25 import none         -> limited; 0.05 x>v* 0.20/0.25 feeder
    """)


def test_a_limit_for_all_slots_tries_their_held_orders_in_order_of_slot(play: Play):
    play("""
        limit B export 0.00 import none         -> limited
        x: B1 sells 1.00 @ 0.20 in s2           -> rests
        v: A1 buys 1.00 @ 0.50 in s2            -> rests
        y: B1 sells 1.00 @ 0.20 in s1           -> rests
        w: A1 buys 1.00 @ 0.50 in s1            -> rests
        limit B export 0.30 import none         -> limited; 0.30 y>w* 0.20/0.25 feeder; 0.30 x>v* 0.20/0.25 feeder
    """)


def test_held_orders_are_tried_in_order_of_sequence_number(play: Play):
    play("""
        limit B export 0.00 import none         -> limited
        A1 buys 1.00 @ 0.50                     -> rests
        B1 sells 0.50 @ 0.30                    -> rests
        B2 sells 0.50 @ 0.20                    -> rests
        limit B export 0.75 import none         -> limited; 0.50 B1*>A1 0.45/0.50 feeder; 0.25 B2*>A1 0.45/0.50 feeder
    """)


def test_the_earlier_of_two_fitting_orders_is_not_held(play: Play):
    """Were A1's buy a taker, it would choose B2, the better price, and not B1, the earlier."""
    play("""
        limit B export 0.00 import none         -> limited
        A1 buys 0.50 @ 0.50                     -> rests
        B1 sells 0.50 @ 0.30                    -> rests
        B2 sells 0.50 @ 0.20                    -> rests
        limit B export none import none         -> limited; 0.50 B1*>A1 0.45/0.50 feeder
    """)


def test_a_held_order_may_meet_a_later_one_and_its_own_limit_is_then_the_price(play: Play):
    play("""
        limit A export none import 0.00         -> limited
        B1 sells 0.50 @ 0.30                    -> rests
        A1 buys 0.50 @ 0.45                     -> rests
        B2 sells 0.50 @ 0.25                    -> rests
        limit A export none import 1.00         -> limited; 0.50 B2*>A1 0.40/0.45 feeder
    """)


def test_passes_follow_one_another_until_one_trades_nothing(play: Play):
    """A1 is tried before A2's trade has made room into A; a second pass finds it."""
    play("""
        limit A export none import 0.00         -> limited
        limit C export none import 0.00         -> limited
        B1 sells 0.50 @ 0.30 reach feeder       -> rests
        A1 buys 0.50 @ 0.40                     -> rests
        C1 buys 0.50 @ 0.55                     -> rests
        A2 sells 0.50 @ 0.39                    -> rests
        limit C export none import 0.50    -> limited; 0.50 A2*>C1 0.44/0.55 substation; 0.50 B1>A1* 0.30/0.35 feeder
    """)


def test_a_trade_does_not_restart_the_pass(play: Play):
    """A2's trade makes room into A for one of A1 and A3: A3's turn comes first, in the same pass."""
    play("""
        limit A export none import 0.00         -> limited
        limit C export none import 0.00         -> limited
        B1 sells 0.50 @ 0.30 reach feeder       -> rests
        A1 buys 0.50 @ 0.40                     -> rests
        C1 buys 0.50 @ 0.55                     -> rests
        A2 sells 0.50 @ 0.39                    -> rests
        A3 buys 0.50 @ 0.40                     -> rests
        limit C export none import 0.50    -> limited; 0.50 A2*>C1 0.44/0.55 substation; 0.50 B1>A3* 0.30/0.35 feeder
    """)


def test_an_order_that_was_held_when_the_pass_began_is_tried_though_the_pass_has_filled_what_held_it(play: Play):
    """B2 is held by A1, which B1 fills; it still has its turn, and takes A3 before A2 could take it."""
    play("""
        limit B export 0.00 import none         -> limited
        A1 buys 0.50 @ 0.45                     -> rests
        B1 sells 0.50 @ 0.30                    -> rests
        B2 sells 0.50 @ 0.30 terms 30           -> rests
        A2 buys 0.50 @ 0.45 terms 30            -> rests
        A3 buys 0.50 @ 0.50 terms 30            -> rests
        limit B export none import none  -> limited; 0.50 B1*>A1 0.40/0.45 feeder; 0.50 B2>A3* 0.30/0.35 feeder
    """)


def test_an_order_filled_earlier_in_the_pass_is_not_tried_again(play: Play):
    play("""
        limit A export none import 0.00         -> limited
        B1 sells 0.50 @ 0.30                    -> rests
        A1 buys 0.50 @ 0.45                     -> rests
        B2 sells 0.50 @ 0.25                    -> rests
        A2 buys 0.50 @ 0.45                     -> rests
        limit A export none import none  -> limited; 0.50 B2*>A1 0.40/0.45 feeder; 0.50 B1>A2* 0.30/0.35 feeder
    """)


def test_held_orders_are_tried_after_the_command_is_done_not_between_its_trades(play: Play):
    """C1's first trade makes room for B3, which must wait until C1 has traded all it can."""
    play("""
        limit B export 0.00 import none         -> limited
        A1 buys 1.00 @ 0.45                     -> rests
        B3 sells 1.00 @ 0.32 reach feeder       -> rests
        B2 buys 0.50 @ 0.60 terms 30            -> rests
        C1 sells 0.75 @ 0.20 terms 30           -> 0.50 C1*>B2 0.49/0.60 substation
                                                 ; 0.25 C1*>A1 0.34/0.45 substation
                                                 ; 0.50 B3*>A1 0.40/0.45 feeder
    """)


def test_orders_held_in_one_slot_do_not_hear_of_room_in_another(play: Play):
    play("""
        limit B export 0.00 import none         -> limited
        x: B1 sells 1.00 @ 0.20 in s1           -> rests
        v: A1 buys 1.00 @ 0.50 in s1            -> rests
        y: B1 sells 1.00 @ 0.20 in s2           -> rests
        w: A1 buys 1.00 @ 0.50 in s2            -> rests
        limit B export 1.00 import none in s2   -> limited; 1.00 y>w* 0.20/0.25 feeder
        cancel x                                -> x ends by_owner 1.00
    """)


def test_an_amended_order_too_makes_room_for_held_ones(play: Play):
    """The fourth worked example, in which C1 asks too much at first."""
    play("""
        limit B export 1.00 import none          -> limited
        A1 buys 2.00 @ 0.45 reach feeder         -> rests
        B1 sells 1.00 @ 0.30                     -> 1.00 B1*>A1 0.40/0.45 feeder
        B3 sells 1.00 @ 0.32                     -> rests
        B2 buys 0.50 @ 0.33                      -> rests
        C1 sells 0.50 @ 0.30                     -> rests
        amend C1 @ 0.20                          -> 0.50 @ 0.20 new place
                                                  ; 0.50 C1*>B2 0.22/0.33 substation; 0.50 B3*>A1 0.40/0.45 feeder
    """)


def test_passes_are_skipped_while_no_room_has_grown(monkeypatch: pytest.MonkeyPatch):
    passes: list[int] = []
    held = ReferenceEngine._held

    def counted(self: ReferenceEngine, book: Book) -> list[Order]:
        passes.append(self.sequence)
        return held(self, book)

    monkeypatch.setattr(ReferenceEngine, "_held", counted)
    market = Market(ReferenceEngine).play("""
        limit B export 0.50 import none          -> limited
        A1 buys 2.00 @ 0.45                      -> rests
        B1 sells 1.00 @ 0.30                     -> 0.50 B1*>A1 0.40/0.45 feeder; rests 0.50
        B2 sells 1.00 @ 0.30                     -> rests
        A2 sells 0.50 @ 0.30                     -> 0.50 A2*>A1 0.43/0.45 transformer
        limit A export 5.00 import 5.00          -> limited
        amend B2 to 0.90                         -> 0.90 @ 0.30 same place; rests
    """)
    assert passes == []
    market.play("""
        limit B export 0.60 import none          -> limited; 0.10 B1*>A1 0.40/0.45 feeder
        A3 sells 0.50 @ 0.30                     -> 0.50 A3*>A1 0.43/0.45 transformer
    """)
    assert len(passes) == 1
