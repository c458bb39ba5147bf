"""Every table, in the order of an order's life. The schema only: queries live in each package's ``store.py``.

All numbers are whole: ``_lots``, ``_ticks``, ``_micro``, ``_fen``, ``_s`` (see ``units.py``). Keys are given by the
market, never by the database. What the chain owns (cash, receivables, cycles applied) is mirrored here from
``chain_events`` and can be rebuilt from them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from data import bank_tables, credit_tables, identity_tables, receivable_tables, registry_tables, sale_tables
from data.metadata import shared

metadata = shared

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    comment="What was fixed at genesis: rules, slot length, time zone, salt, tariff, contract addresses",
)

# --------------------------------------------------------------------------------------- who takes part

members = Table(
    "members",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(20), nullable=False),  # household, business, plant, bank, institution
    Column("roles", Text, nullable=False),  # JSON list, sorted
    Column("status", String(20), nullable=False),  # pending, refused, admitted, suspended
    Column("frozen", Boolean, nullable=False, default=False),  # by the regulator, on the chain
    Column("registered_s", BigInteger, nullable=False),
    Column("admitted_s", BigInteger),
    Column("credit_limit_micro", BigInteger, nullable=False, default=0),  # the sum of credit_limits
)

member_keys = Table(
    "member_keys",
    metadata,
    Column("member_id", ForeignKey("members.member_id"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, default=1),  # 1, 2, 3 ... for each member
    Column("from_sequence", BigInteger, nullable=False),
    Column("to_sequence", BigInteger),  # null: the live key
    Column("x", LargeBinary(32), nullable=False),
    Column("y", LargeBinary(32), nullable=False),
    Column("rotated_s", BigInteger),  # this and the next four: of keys after the first
    Column("nonce", BigInteger),
    Column("deadline_s", BigInteger),
    Column("signature", LargeBinary(64)),  # of the key before, over RotateKey
    Column("outbox_id", ForeignKey("outbox.outbox_id")),
)

member_controls = Table(
    "member_controls",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the last of a member holds
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("change", String(10), nullable=False),  # limits, kill, lift
    Column("changed_s", BigInteger, nullable=False),
    Column("changed_by", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("open_orders", BigInteger),  # this and the next three: null is the market's
    Column("batch_orders", BigInteger),
    Column("messages_per_s", BigInteger),
    Column("message_burst", BigInteger),
    Column("stopped", String(10)),  # by operator or member; null: it may place orders
    Index(None, "member_id"),
    comment="What each member may do beside the rules for all; every change is a row that stays",
)

sessions = identity_tables.sessions
api_keys = identity_tables.api_keys
factors = identity_tables.factors
member_decisions = identity_tables.member_decisions
recovery_codes = identity_tables.recovery_codes
particulars = registry_tables.particulars
registrations = registry_tables.registrations
fapiao = registry_tables.fapiao
bank_entries = registry_tables.bank_entries

idempotency = Table(
    "idempotency",
    metadata,
    Column("member_id", BigInteger, primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("body_hash", LargeBinary(32), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False, unique=True),
    Column("parent_id", ForeignKey("nodes.node_id")),
    Column("level", SmallInteger, nullable=False),
    Column("export_kw", String(30)),  # as given; the engine's lots are derived
    Column("import_kw", String(30)),
    Column("connected_s", BigInteger, nullable=False, server_default="0"),  # of its batch in the journal
)

meters = Table(
    "meters",
    metadata,
    Column("node_id", ForeignKey("nodes.node_id"), primary_key=True),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("kind", String(20), nullable=False),  # household, business, pv, hydro, wind, biomass, ...
    Column("export_lots", BigInteger, nullable=False),  # connection capacity per slot
    Column("import_lots", BigInteger, nullable=False),
)

halts = Table(
    "halts",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("node_id", ForeignKey("nodes.node_id")),  # below it; null: everywhere
    Column("start_s", BigInteger),  # slots in the half-open [start_s, end_s); null: no bound
    Column("end_s", BigInteger),
    Column("halted_s", BigInteger, nullable=False),
    Column("halted_by", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lifted_s", BigInteger),  # null: it stands
    Column("lifted_by", BigInteger),
    Column("lift_reason", Text),
)

# ----------------------------------------------------------------------------- orders, the journal, trades

journal = Table(
    "journal",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("recorded_s", BigInteger, nullable=False),
    Column("previous_head", LargeBinary(32), nullable=False),
    Column("commands", LargeBinary, nullable=False),  # matching.order.encode_commands
    Column("head", LargeBinary(32), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),  # the operator's, over Receipt(last_sequence, head)
    Column("salt", LargeBinary, nullable=False),  # 32 random bytes under the head; none in batches of before
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("client_order_id", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("node_id", ForeignKey("nodes.node_id"), nullable=False),
    Column("side", SmallInteger, nullable=False),
    Column("slot_s", BigInteger, nullable=False),
    Column("quantity_lots", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("tif", SmallInteger, nullable=False),
    Column("reach", SmallInteger, nullable=False),
    Column("terms_days", SmallInteger, nullable=False),
    Column("replaces", String(64), nullable=False),
    Column("deadline_s", BigInteger, nullable=False),
    Column("basket", BigInteger),  # order id of the first leg; null: no basket
    Column("state", String(20), nullable=False),  # open, filled, or how it ended
    Column("remaining_lots", BigInteger, nullable=False),
    Column("reduced_lots", BigInteger, nullable=False, server_default="0"),  # taken back by its owner while open
    Column("changed_sequence", BigInteger, nullable=False, default=0),  # of the command that last changed the order
    Column("received_s", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("signature_id", ForeignKey("signatures.signature_id"), nullable=False),
    Column("leaf_index", BigInteger, nullable=False),  # place among the digests under one signature
    UniqueConstraint("member_id", "client_order_id"),
)

signatures = Table(
    "signatures",
    metadata,
    Column("signature_id", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("kind", String(10), nullable=False),  # order: over one digest; batch: over OrderBatch(root, count, basket)
    Column("root", LargeBinary(32), nullable=False),
    Column("leaves", LargeBinary, nullable=False),  # of a batch, end to end, refused orders too: the root's own proof
    Column("count", BigInteger, nullable=False),
    Column("basket", Boolean, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

trades = Table(
    "trades",
    metadata,
    Column("trade_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("slot_s", BigInteger, nullable=False),
    Column("buy_order", ForeignKey("orders.order_id"), nullable=False),
    Column("sell_order", ForeignKey("orders.order_id"), nullable=False),
    Column("buyer", BigInteger, nullable=False),
    Column("seller", BigInteger, nullable=False),
    Column("buy_node", BigInteger, nullable=False),
    Column("sell_node", BigInteger, nullable=False),
    Column("quantity_lots", BigInteger, nullable=False),
    Column("seller_price_ticks", BigInteger, nullable=False),
    Column("buyer_price_ticks", BigInteger, nullable=False),
    Column("taker", SmallInteger, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("terms_days", SmallInteger, nullable=False),  # of the buy
    Column("traded_s", BigInteger, nullable=False),
    Column("salts", LargeBinary(96), nullable=False),  # of the common part, the buyer's half, the seller's half
    Column("buy_filled_before_lots", BigInteger, nullable=False, server_default="0"),  # what the order had traded
    Column("sell_filled_before_lots", BigInteger, nullable=False, server_default="0"),
    Index(None, "slot_s"),
    Index(None, "buyer", "slot_s"),
    Index(None, "seller", "slot_s"),
    Index(None, "buy_order"),
    Index(None, "sell_order"),
)

# ------------------------------------------------------------------------------------- towards the chain

commitments = Table(
    "commitments",
    metadata,
    Column("commitment", BigInteger, primary_key=True, autoincrement=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("journal_batch", BigInteger, nullable=False),
    Column("journal_head", LargeBinary(32), nullable=False),
    Column("first_trade", BigInteger, nullable=False),  # first > last: none
    Column("last_trade", BigInteger, nullable=False),
    Column("trade_root", LargeBinary(32), nullable=False),
    Column("outbox_id", ForeignKey("outbox.outbox_id"), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(40), nullable=False),  # the contract function, as Clearing.commit
    Column("call", LargeBinary, nullable=False),  # encoded call data
    Column("state", String(20), nullable=False),  # waiting, sent, done, reverted
    Column("raw", LargeBinary),  # the signed transaction, kept before it is sent: sent again, it changes nothing
    Column("transaction_hash", LargeBinary(32)),
    Column("block", BigInteger),
    Column("block_hash", LargeBinary(32)),  # null: recorded before hashes were
    Column("gas", BigInteger),
    Column("refusal", Text),  # why the contract reverted
    Index(None, "state"),
    Index(None, "block"),
)

chain_events = Table(
    "chain_events",
    metadata,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    Column("block_s", BigInteger, nullable=False),
    Column("transaction_hash", LargeBinary(32), nullable=False),
    Column("contract", String(20), nullable=False),
    Column("event", String(40), nullable=False),
    Column("arguments", Text, nullable=False),  # JSON; integers as strings, bytes as 0x hex
    Column("block_hash", LargeBinary(32)),  # null: recorded before hashes were
    Index(None, "contract", "event"),
)

witness_statements = Table(
    "witness_statements",
    metadata,
    Column("witness", String(40), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("block", BigInteger, nullable=False),
    Column("block_hash", LargeBinary(32), nullable=False),
    Column("block_s", BigInteger, nullable=False),
    Column("witnessed_s", BigInteger, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),  # digest of the statement before
    Column("signature", LargeBinary(64), nullable=False),
    Column("received_s", BigInteger, nullable=False),
    comment="Heads of the chain as outside parties countersigned them",
)

cash = Table(
    "cash",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("free_micro", BigInteger, nullable=False),  # Cash.balance_of
    Column("escrow_micro", BigInteger, nullable=False),  # Clearing.escrow_of
    Column("arrears_micro", BigInteger, nullable=False),
    comment="Mirror of the chain's balances, after every event in chain_events",
)

deposits = Table(
    "deposits",
    metadata,
    Column("reference", String(100), primary_key=True),  # the bank's own
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column("to_escrow", Boolean, nullable=False),
    Column("outbox_id", ForeignKey("outbox.outbox_id"), nullable=False),
)

custody_balances = Table(
    "custody_balances",
    metadata,
    Column("as_of_s", BigInteger, primary_key=True, autoincrement=False),
    Column("balance_micro", BigInteger, nullable=False),
    Column("outbox_id", ForeignKey("outbox.outbox_id"), nullable=False),
    comment="What the custodian said it holds for the market, as it signed it",
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("withdrawal", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("source", String(10), nullable=False),  # escrow: left in two steps; cash: it is free already
    Column("amount_micro", BigInteger, nullable=False),  # asked for
    Column("nonce", BigInteger, nullable=False),
    Column("deadline_s", BigInteger, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),  # of RequestExit; empty: cash
    Column("requested_s", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),  # requested, waiting, replaced, refused, free, signed, confirmed, paid
    Column("changed_s", BigInteger, nullable=False),
    Column("outbox_id", ForeignKey("outbox.outbox_id")),  # of request_exit, later of burn
    Column("payable_micro", BigInteger),  # what left escrow
    Column("payout_nonce", BigInteger),
    Column("payout_deadline_s", BigInteger),
    Column("payout_signature", LargeBinary(64)),  # the member's, of Burn
    Column("bank_reference", String(100), unique=True),  # of the custodian's payment
    Column("refusal", Text),  # why a contract did not take the last call
    UniqueConstraint("member_id", "nonce"),
    Index(None, "state"),
)

exits = Table(
    "exits",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column("requested_s", BigInteger, nullable=False),  # of the block
    Column("horizon_s", BigInteger, nullable=False),  # once slots up to here are applied, it is due
    Column("outbox_id", ForeignKey("outbox.outbox_id")),  # of exit
    Column("tried_s", BigInteger),
    comment="Mirror of Clearing.exit_of: what may leave escrow as soon as it is due",
)

# --------------------------------------------------------------------------------- delivery and settlement

area_meters = Table(
    "area_meters",
    metadata,
    Column("node_id", ForeignKey("nodes.node_id"), primary_key=True),  # it measures all below this node
    Column("number", SmallInteger, primary_key=True),  # 1, 2, 3 ... the last of a slot's time holds
    Column("from_s", BigInteger, nullable=False),  # for slots from here on
    Column("export_lots", BigInteger, nullable=False),  # capacity per slot; both 0: there is none any more
    Column("import_lots", BigInteger, nullable=False),
    Column("tolerance_bp", BigInteger, nullable=False),  # of what the meters below exported and imported together
    Column("tolerance_lots", BigInteger, nullable=False),
    Column("set_s", BigInteger, nullable=False),
    Column("signer", ForeignKey("members.member_id"), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),  # over AreaMeter
)

meter_keys = Table(
    "meter_keys",
    metadata,
    Column("node_id", ForeignKey("nodes.node_id"), primary_key=True),
    Column("number", SmallInteger, primary_key=True),  # 1, 2, 3 ... for each meter
    Column("from_signature", BigInteger, nullable=False),  # of reading_signatures
    Column("to_signature", BigInteger),  # null: the live key
    Column("x", LargeBinary(32), nullable=False),
    Column("y", LargeBinary(32), nullable=False),
    Column("registered_s", BigInteger, nullable=False),
    Column("signer", ForeignKey("members.member_id"), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),  # the meter operator's, over MeterKey
    Column("proof", LargeBinary(64), nullable=False),  # the meter's own, over the same
    comment="Keys that meters sign their readings with themselves",
)

readings = Table(
    "readings",
    metadata,
    Column("slot_s", BigInteger, primary_key=True, autoincrement=False),
    Column("node_id", ForeignKey("nodes.node_id"), primary_key=True, autoincrement=False),  # a meter, or an area's node
    Column("version", SmallInteger, primary_key=True, autoincrement=False),  # 1, then one more for each correction
    Column("export_lots", BigInteger, nullable=False),
    Column("import_lots", BigInteger, nullable=False),
    Column("signature_id", BigInteger, nullable=False),  # reading_signatures
    Column("leaf_index", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # the key is the table: millions of rows a day, none of them wants another number
)

reading_signatures = Table(
    "reading_signatures",
    metadata,
    Column("signature_id", BigInteger, primary_key=True, autoincrement=False),
    Column("signer", ForeignKey("members.member_id")),  # the meter operator; null: the meter signed for itself
    Column("node_id", ForeignKey("nodes.node_id")),  # that meter
    Column("root", LargeBinary(32), nullable=False),
    Column("other_leaves", LargeBinary, nullable=False),  # (place, leaf) end to end, of those no reading gives again
    Column("count", BigInteger, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("received_s", BigInteger, nullable=False),
    Column("first_slot_s", BigInteger),  # what was taken of it lies between; null: nothing was
    Column("last_slot_s", BigInteger),
    Column("first_node", BigInteger),
    Column("last_node", BigInteger),
    Index(None, "received_s"),
)

quarantined_readings = Table(
    "quarantined_readings",
    metadata,
    Column("signature_id", ForeignKey("reading_signatures.signature_id"), primary_key=True),
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("meter", Text, nullable=False),  # as sent: it may be unknown
    Column("slot_s", BigInteger, nullable=False),
    Column("export_lots", BigInteger, nullable=False),
    Column("import_lots", BigInteger, nullable=False),
    Column("code", String(30), nullable=False),  # why it was not taken
    Column("received_s", BigInteger, nullable=False),
    Index(None, "slot_s"),
)

reading_disputes = Table(
    "reading_disputes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("node_id", ForeignKey("meters.node_id"), nullable=False),
    Column("slot_s", BigInteger, nullable=False),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),  # the meter's owner
    Column("version", SmallInteger, nullable=False),  # of the reading that it disputes
    Index(None, "node_id", "slot_s"),
    Index(None, "member_id"),
)

reading_dispute_steps = Table(
    "reading_dispute_steps",
    metadata,
    Column("number", ForeignKey("reading_disputes.number"), primary_key=True),
    Column("step", SmallInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("act", String(10), nullable=False),  # opened, stood_by, corrected, appealed, upheld, overruled
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("at_s", BigInteger, nullable=False),
    Column("export_lots", BigInteger),  # what the step says was metered; null: it says nothing of it
    Column("import_lots", BigInteger),
    Column("note", Text, nullable=False),
    comment="What was said in disputes about readings; nothing is ever changed here",
)

cycles = Table(
    "cycles",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("day", String(10), nullable=False, unique=True),  # local day, 2026-07-01
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False),  # half-open
    Column("state", String(20), nullable=False),  # drafted, refused, signed, proposed, applying, applied
    Column("salt", LargeBinary(32), nullable=False),  # of the leaves of readings and statement lines
    Column("trades_root", LargeBinary(32), nullable=False),
    Column("readings_root", LargeBinary(32), nullable=False),
    Column("statements_root", LargeBinary(32), nullable=False),
    Column("parts", Text, nullable=False),  # JSON: list of parts, each a list of [account, "amount_micro"]
    Column("parts_hash", LargeBinary(32), nullable=False),
    Column("operator_signature", LargeBinary(64), nullable=False),
    Column("checker_signature", LargeBinary(64)),
    Column("disputable_until_s", BigInteger),
    Column("refusal", Text),  # the checker's reason, when it refused
    Column("round", SmallInteger, nullable=False, server_default="1"),  # 2 after it was void once
    Column("outbox_id", BigInteger),  # of its proposal
)

void_cycles = Table(
    "void_cycles",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("round", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False),
    Column("trades_root", LargeBinary(32), nullable=False),
    Column("voided_s", BigInteger, nullable=False),  # of the block
    comment="Proposals that fell in a dispute, theirs or that of an earlier cycle; each is drafted again",
)

challenges = Table(
    "challenges",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("name", LargeBinary(32), nullable=False),  # of leaf and side, as the chain names it
    Column("cycle", BigInteger, nullable=False),
    Column("trade_id", BigInteger, nullable=False),  # as the chain says: it may be none of ours
    Column("side", SmallInteger, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("challenger", BigInteger, nullable=False),
    Column("opened_s", BigInteger, nullable=False),  # of the block
    Column("due_s", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),  # open, answered, upheld
    Column("answer_outbox", BigInteger),
    Column("uphold_outbox", BigInteger),
    Column("problem", Text),  # why the market has no answer
    Index(None, "cycle"),
    Index(None, "state"),
    comment="Mirror of Disputes, and what the market did about each challenge",
)

struck_trades = Table(
    "struck_trades",
    metadata,
    Column("trade_id", ForeignKey("trades.trade_id"), primary_key=True),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("cycle", BigInteger, nullable=False),  # that it fell with
    Column("member_id", BigInteger, nullable=False),  # who showed it
    Column("struck_s", BigInteger, nullable=False),  # of the block
    comment="Trades that the chain has struck: no cycle, no debt and no receivable holds them",
)

drafts = Table(
    "drafts",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),
    Column("end_s", BigInteger, nullable=False),
    comment="The cycle being drafted: its day is closed, its deliveries and lines count once it stands in cycles",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("trade_id", ForeignKey("trades.trade_id"), primary_key=True),
    Column("cycle", BigInteger, nullable=False),  # counts only once it stands in cycles; so do statement lines
    Column("delivered_lots", BigInteger, nullable=False),
    Column("financeable", Boolean, nullable=False),  # from actual, signed readings
    Index(None, "cycle"),
)

estimates = Table(
    "estimates",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("slot_s", BigInteger, primary_key=True, autoincrement=False),
    Column("node_id", BigInteger, primary_key=True, autoincrement=False),
    Column("held", Boolean, nullable=False),  # a reading is there, and the area meter contradicts it
    comment="Meters that traded in a slot and have no reading that counts",
)

statement_lines = Table(
    "statement_lines",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("line", BigInteger, primary_key=True, autoincrement=False),
    Column("slot_s", BigInteger, nullable=False),
    Column("member_id", BigInteger, nullable=False),
    Column("node_id", BigInteger, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("counterparty", BigInteger),
    Column("trade_id", BigInteger),
    Column("energy_lots", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("amount_micro", BigInteger, nullable=False),  # + received, - paid
    Column("how", String(10), nullable=False),  # cycle: moves in this cycle; terms: owed until due; bill: residual
    Column(
        "adjusts", BigInteger
    ),  # the cycle of which a slot is put right here, 0: its day had none; null: no such line
    Index(None, "member_id", "slot_s"),
)

# ---------------------------------------------------------------------------------------- who advances money

receivables = Table(
    "receivables",
    metadata,
    Column("receivable_id", LargeBinary(32), primary_key=True),  # the leaf under the period's root
    Column("number", BigInteger, nullable=False, unique=True),  # 1, 2, 3 ... for people
    Column("period", BigInteger, nullable=False),
    Column("creditor", ForeignKey("members.member_id"), nullable=False),
    Column("debtor", ForeignKey("members.member_id"), nullable=False),
    Column("face_fen", BigInteger, nullable=False),
    Column("terms_days", SmallInteger, nullable=False),
    Column("issue_day", String(10), nullable=False),
    Column("due_day", String(10), nullable=False),
    Column("trades_root", LargeBinary(32), nullable=False),
    Column("salt", LargeBinary(32), nullable=False),
    Column("state", String(20), nullable=False),  # drafted until its period is issued, then what the chain says
    Column("holder", BigInteger, nullable=False),  # who is paid first: the creditor until it is financed
    Column("advance_fen", BigInteger, nullable=False),  # the holder's claim once financed
    Column("proceeds_fen", BigInteger, nullable=False),  # what the holder paid the creditor for it, 0 until financed
    Column("paid_fen", BigInteger, nullable=False),
    Column("costs_due_fen", BigInteger, nullable=False),  # the holder's, out of the residual, as is
    Column("interest_due_fen", BigInteger, nullable=False),  # for being late, up to
    Column("accrued_day", String(10), nullable=False),  # this day; the due day to begin with
    Column("late_rate_ppm", BigInteger, nullable=False),  # a year
    Column("year_days", SmallInteger, nullable=False),
    Column("with_recourse", Boolean, nullable=False),
    Column("bought_back", Boolean, nullable=False),  # by its seller, from the holder
    Column("registration", LargeBinary(32)),  # hash of the registry's number of its sale
    Column("frozen", Boolean, nullable=False),
    Column("claimed_count", BigInteger, nullable=False),  # of its trades, on the chain
    Column("complete", Boolean, nullable=False),  # all of them
    Column("marked_s", BigInteger, nullable=False),  # when the chain was last asked to mark it due or overdue
    Column("on_chain", Boolean, nullable=False),  # materialised there
    Column("act", String(20)),  # what was last sent to the chain for it and has not come back as an event
    Column("act_outbox", ForeignKey("outbox.outbox_id")),
    Column("act_reason", Text),  # what its actor said, for the history
    Column("changed_s", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),  # its latest in receivable_history: lists go on from here
    Column("source", String(20), nullable=False, server_default=""),  # kind of the sellers' meters, "mixed" of several
    Index(None, "debtor", "state", "change"),
    Index(None, "creditor", "state", "change"),
    Index(None, "period"),
    Index(None, "change"),  # a page of a list is a range of one of those that end in it: finance/listing_store.py
    Index(None, "creditor", "change"),
    Index(None, "debtor", "change"),
    Index(None, "holder", "change"),
    Index(None, "state", "change"),
    Index(None, "changed_s", "change"),
)

receivable_parts = receivable_tables.receivable_parts

receivable_trades = Table(
    "receivable_trades",
    metadata,
    Column("trade_id", ForeignKey("trades.trade_id"), primary_key=True),  # claimed once
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),
    Column("delivered_lots", BigInteger, nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Index(None, "receivable_id"),
)

receivable_history = Table(
    "receivable_history",
    metadata,
    Column("change", BigInteger, primary_key=True, autoincrement=False),
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),
    Column("part", BigInteger),  # what is open of it, in CNY, is before and after; null: they are states
    Column("before", String(20), nullable=False),
    Column("after", String(20), nullable=False),
    Column("actor", BigInteger, nullable=False),  # 0: nobody, the calendar
    Column("at_s", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("block", BigInteger),  # of the chain's event; null: the market took back what a lost block said
    Column("log_index", BigInteger),
    Index(None, "receivable_id"),
)

remainders = Table(
    "remainders",
    metadata,
    Column("creditor", BigInteger, primary_key=True),
    Column("debtor", BigInteger, primary_key=True),
    Column("terms_days", SmallInteger, primary_key=True),
    Column("period", BigInteger, primary_key=True),  # the period whose face it was left out of
    Column("amount_micro", BigInteger, nullable=False),  # below one fen, carried to the next period
)

periods = Table(
    "periods",
    metadata,
    Column("period", BigInteger, primary_key=True, autoincrement=False),
    Column("billing", String(10), nullable=False),  # day or month
    Column("first_day", String(10), nullable=False),
    Column("last_day", String(10), nullable=False),
    Column("first_cycle", BigInteger, nullable=False),
    Column("last_cycle", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),  # drafted, refused, signed, issued
    Column("operator_signature", LargeBinary(64), nullable=False),
    Column("checker_signature", LargeBinary(64)),
    Column("refusal", Text),  # the checker's reason, when it refused
)

offers = Table(
    "offers",
    metadata,
    Column("offer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),
    Column("bank", ForeignKey("members.member_id"), nullable=False),
    Column("advance_fen", BigInteger, nullable=False),
    Column("discount_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("proceeds_fen", BigInteger, nullable=False),
    Column("terms", Text, nullable=False),  # JSON: advance rate, rate, day count, days, as the bank quoted
    Column("nonce", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("costs_fen", BigInteger, nullable=False),  # what the bank is owed on top when it is paid late
    Column("late_rate_ppm", BigInteger, nullable=False),  # yearly, on the advance, from the due day on
    Column("with_recourse", Boolean, nullable=False),
    Column("registration", LargeBinary(32), nullable=False),  # hash of the registry's number for this sale
    Column("state", String(20), nullable=False),  # open, accepted, lapsed
    Column("made_s", BigInteger, nullable=False),
    UniqueConstraint("bank", "nonce"),
    Index(None, "receivable_id"),
    Index(None, "bank"),
)

auctions = sale_tables.auctions
auction_bids = sale_tables.auction_bids
programs = sale_tables.programs
program_rows = sale_tables.program_rows

credit_models = credit_tables.credit_models
credit_runs = credit_tables.credit_runs
credit_decisions = credit_tables.credit_decisions
credit_limits = credit_tables.credit_limits

feed_events = bank_tables.feed_events
feed_audience = bank_tables.feed_audience
feed_positions = bank_tables.feed_positions
webhooks = bank_tables.webhooks
consents = bank_tables.consents
criteria = bank_tables.criteria
