"""The tables of the first release. Frozen: what changed since is in the revisions after this one."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _members()
    _orders()
    _chain()
    _settlement()
    _finance()


def _members() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
        comment="What was fixed at genesis: rules, slot length, time zone, salt, tariff, contract addresses",
    )
    op.create_table(
        "members",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("registered_s", sa.BigInteger(), nullable=False),
        sa.Column("admitted_s", sa.BigInteger()),
        sa.Column("admission_record", sa.Text()),
        sa.Column("credit_limit_micro", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", name="pk_members"),
    )
    op.create_table(
        "member_keys",
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("from_sequence", sa.BigInteger(), nullable=False),
        sa.Column("to_sequence", sa.BigInteger()),
        sa.Column("x", sa.LargeBinary(length=32), nullable=False),
        sa.Column("y", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_member_keys_member_id"),
        sa.PrimaryKeyConstraint("member_id", "from_sequence", name="pk_member_keys"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_sessions_member_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_table(
        "idempotency",
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "key", name="pk_idempotency"),
    )
    op.create_table(
        "nodes",
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("parent_id", sa.BigInteger()),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("export_kw", sa.String(length=30)),
        sa.Column("import_kw", sa.String(length=30)),
        sa.ForeignKeyConstraint(["parent_id"], ["nodes.node_id"], name="fk_nodes_parent_id"),
        sa.PrimaryKeyConstraint("node_id", name="pk_nodes"),
        sa.UniqueConstraint("name", name="uq_nodes_name"),
    )
    op.create_table(
        "meters",
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("export_lots", sa.BigInteger(), nullable=False),
        sa.Column("import_lots", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_meters_member_id"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_meters_node_id"),
        sa.PrimaryKeyConstraint("node_id", name="pk_meters"),
    )


def _orders() -> None:
    op.create_table(
        "journal",
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("recorded_s", sa.BigInteger(), nullable=False),
        sa.Column("previous_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("commands", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("batch", name="pk_journal"),
    )
    op.create_table(
        "signatures",
        sa.Column("signature_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("basket", sa.Boolean(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_signatures_member_id"),
        sa.PrimaryKeyConstraint("signature_id", name="pk_signatures"),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("client_order_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), nullable=False),
        sa.Column("quantity_lots", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("tif", sa.SmallInteger(), nullable=False),
        sa.Column("reach", sa.SmallInteger(), nullable=False),
        sa.Column("terms_days", sa.SmallInteger(), nullable=False),
        sa.Column("replaces", sa.String(length=64), nullable=False),
        sa.Column("deadline_s", sa.BigInteger(), nullable=False),
        sa.Column("basket", sa.BigInteger()),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("remaining_lots", sa.BigInteger(), nullable=False),
        sa.Column("changed_sequence", sa.BigInteger(), nullable=False),
        sa.Column("received_s", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_orders_member_id"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_orders_node_id"),
        sa.ForeignKeyConstraint(["signature_id"], ["signatures.signature_id"], name="fk_orders_signature_id"),
        sa.PrimaryKeyConstraint("order_id", name="pk_orders"),
        sa.UniqueConstraint("member_id", "client_order_id", name="uq_orders_member_id_client_order_id"),
    )
    op.create_index("ix_orders_signature_id", "orders", ["signature_id"])
    op.create_index("ix_orders_slot_s", "orders", ["slot_s"])
    op.create_index("ix_orders_state_slot_s", "orders", ["state", "slot_s"])
    op.create_table(
        "trades",
        sa.Column("trade_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), nullable=False),
        sa.Column("buy_order", sa.BigInteger(), nullable=False),
        sa.Column("sell_order", sa.BigInteger(), nullable=False),
        sa.Column("buyer", sa.BigInteger(), nullable=False),
        sa.Column("seller", sa.BigInteger(), nullable=False),
        sa.Column("buy_node", sa.BigInteger(), nullable=False),
        sa.Column("sell_node", sa.BigInteger(), nullable=False),
        sa.Column("quantity_lots", sa.BigInteger(), nullable=False),
        sa.Column("seller_price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("buyer_price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("taker", sa.SmallInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("terms_days", sa.SmallInteger(), nullable=False),
        sa.Column("traded_s", sa.BigInteger(), nullable=False),
        sa.Column("salts", sa.LargeBinary(length=96), nullable=False),
        sa.ForeignKeyConstraint(["buy_order"], ["orders.order_id"], name="fk_trades_buy_order"),
        sa.ForeignKeyConstraint(["sell_order"], ["orders.order_id"], name="fk_trades_sell_order"),
        sa.PrimaryKeyConstraint("trade_id", name="pk_trades"),
    )
    op.create_index("ix_trades_buy_order", "trades", ["buy_order"])
    op.create_index("ix_trades_buyer_slot_s", "trades", ["buyer", "slot_s"])
    op.create_index("ix_trades_sell_order", "trades", ["sell_order"])
    op.create_index("ix_trades_seller_slot_s", "trades", ["seller", "slot_s"])
    op.create_index("ix_trades_slot_s", "trades", ["slot_s"])


def _chain() -> None:
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("raw", sa.LargeBinary()),
        sa.Column("transaction_hash", sa.LargeBinary(length=32)),
        sa.Column("block", sa.BigInteger()),
        sa.Column("gas", sa.BigInteger()),
        sa.Column("refusal", sa.Text()),
        sa.PrimaryKeyConstraint("outbox_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])
    op.create_table(
        "commitments",
        sa.Column("commitment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("journal_batch", sa.BigInteger(), nullable=False),
        sa.Column("journal_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("first_trade", sa.BigInteger(), nullable=False),
        sa.Column("last_trade", sa.BigInteger(), nullable=False),
        sa.Column("trade_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_commitments_outbox_id"),
        sa.PrimaryKeyConstraint("commitment", name="pk_commitments"),
    )
    op.create_table(
        "chain_events",
        sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_s", sa.BigInteger(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("contract", sa.String(length=20), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("block", "log_index", name="pk_chain_events"),
    )
    op.create_index("ix_chain_events_contract_event", "chain_events", ["contract", "event"])
    op.create_table(
        "cash",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("free_micro", sa.BigInteger(), nullable=False),
        sa.Column("escrow_micro", sa.BigInteger(), nullable=False),
        sa.Column("arrears_micro", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", name="pk_cash"),
        comment="Mirror of the chain's balances, after every event in chain_events",
    )
    op.create_table(
        "deposits",
        sa.Column("reference", sa.String(length=100), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("to_escrow", sa.Boolean(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_deposits_member_id"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_deposits_outbox_id"),
        sa.PrimaryKeyConstraint("reference", name="pk_deposits"),
    )


def _settlement() -> None:
    op.create_table(
        "reading_signatures",
        sa.Column("signature_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signer", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["signer"], ["members.member_id"], name="fk_reading_signatures_signer"),
        sa.PrimaryKeyConstraint("signature_id", name="pk_reading_signatures"),
    )
    op.create_table(
        "readings",
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("export_lots", sa.BigInteger(), nullable=False),
        sa.Column("import_lots", sa.BigInteger(), nullable=False),
        sa.Column("received_s", sa.BigInteger(), nullable=False),
        sa.Column("signature_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["meters.node_id"], name="fk_readings_node_id"),
        sa.PrimaryKeyConstraint("node_id", "slot_s", "version", name="pk_readings"),
    )
    op.create_index("ix_readings_slot_s", "readings", ["slot_s"])
    op.create_table(
        "quarantined_readings",
        sa.Column("signature_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), nullable=False),
        sa.Column("export_lots", sa.BigInteger(), nullable=False),
        sa.Column("import_lots", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=30), nullable=False),
        sa.Column("received_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["signature_id"], ["reading_signatures.signature_id"], name="fk_quarantined_readings_signature_id"
        ),
        sa.PrimaryKeyConstraint("signature_id", "leaf_index", name="pk_quarantined_readings"),
    )
    op.create_index("ix_quarantined_readings_slot_s", "quarantined_readings", ["slot_s"])
    op.create_table(
        "cycles",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("trades_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("readings_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("statements_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("parts_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("operator_signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("checker_signature", sa.LargeBinary(length=64)),
        sa.Column("disputable_until_s", sa.BigInteger()),
        sa.Column("refusal", sa.Text()),
        sa.PrimaryKeyConstraint("cycle", name="pk_cycles"),
        sa.UniqueConstraint("day", name="uq_cycles_day"),
    )
    op.create_table(
        "deliveries",
        sa.Column("trade_id", sa.BigInteger(), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("delivered_lots", sa.BigInteger(), nullable=False),
        sa.Column("financeable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["cycle"], ["cycles.cycle"], name="fk_deliveries_cycle"),
        sa.ForeignKeyConstraint(["trade_id"], ["trades.trade_id"], name="fk_deliveries_trade_id"),
        sa.PrimaryKeyConstraint("trade_id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_cycle", "deliveries", ["cycle"])
    op.create_table(
        "statement_lines",
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_s", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("counterparty", sa.BigInteger()),
        sa.Column("trade_id", sa.BigInteger()),
        sa.Column("energy_lots", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("how", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["cycle"], ["cycles.cycle"], name="fk_statement_lines_cycle"),
        sa.PrimaryKeyConstraint("cycle", "line", name="pk_statement_lines"),
    )
    op.create_index("ix_statement_lines_member_id_slot_s", "statement_lines", ["member_id", "slot_s"])


def _finance() -> None:
    op.create_table(
        "receivables",
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("creditor", sa.BigInteger(), nullable=False),
        sa.Column("debtor", sa.BigInteger(), nullable=False),
        sa.Column("face_fen", sa.BigInteger(), nullable=False),
        sa.Column("terms_days", sa.SmallInteger(), nullable=False),
        sa.Column("issue_day", sa.String(length=10), nullable=False),
        sa.Column("due_day", sa.String(length=10), nullable=False),
        sa.Column("trades_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=False),
        sa.Column("advance_fen", sa.BigInteger(), nullable=False),
        sa.Column("proceeds_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("on_chain", sa.Boolean(), nullable=False),
        sa.Column("act", sa.String(length=20)),
        sa.Column("act_outbox", sa.BigInteger()),
        sa.Column("act_reason", sa.Text()),
        sa.Column("changed_s", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["act_outbox"], ["outbox.outbox_id"], name="fk_receivables_act_outbox"),
        sa.ForeignKeyConstraint(["creditor"], ["members.member_id"], name="fk_receivables_creditor"),
        sa.ForeignKeyConstraint(["debtor"], ["members.member_id"], name="fk_receivables_debtor"),
        sa.PrimaryKeyConstraint("receivable_id", name="pk_receivables"),
        sa.UniqueConstraint("number", name="uq_receivables_number"),
    )
    op.create_index("ix_receivables_change", "receivables", ["change"])
    op.create_index("ix_receivables_changed_s", "receivables", ["changed_s"])
    op.create_index("ix_receivables_creditor_state", "receivables", ["creditor", "state"])
    op.create_index("ix_receivables_debtor_state", "receivables", ["debtor", "state"])
    op.create_index("ix_receivables_period", "receivables", ["period"])
    op.create_table(
        "receivable_trades",
        sa.Column("trade_id", sa.BigInteger(), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("delivered_lots", sa.BigInteger(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["receivable_id"], ["receivables.receivable_id"], name="fk_receivable_trades_receivable_id"
        ),
        sa.ForeignKeyConstraint(["trade_id"], ["trades.trade_id"], name="fk_receivable_trades_trade_id"),
        sa.PrimaryKeyConstraint("trade_id", name="pk_receivable_trades"),
    )
    op.create_index("ix_receivable_trades_receivable_id", "receivable_trades", ["receivable_id"])
    op.create_table(
        "receivable_history",
        sa.Column("change", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("before", sa.String(length=20), nullable=False),
        sa.Column("after", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.BigInteger(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger()),
        sa.Column("log_index", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["receivable_id"], ["receivables.receivable_id"], name="fk_receivable_history_receivable_id"
        ),
        sa.PrimaryKeyConstraint("change", name="pk_receivable_history"),
    )
    op.create_index("ix_receivable_history_receivable_id", "receivable_history", ["receivable_id"])
    op.create_table(
        "remainders",
        sa.Column("creditor", sa.BigInteger(), nullable=False),
        sa.Column("debtor", sa.BigInteger(), nullable=False),
        sa.Column("terms_days", sa.SmallInteger(), nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("creditor", "debtor", "terms_days", "period", name="pk_remainders"),
    )
    op.create_table(
        "periods",
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("billing", sa.String(length=10), nullable=False),
        sa.Column("first_day", sa.String(length=10), nullable=False),
        sa.Column("last_day", sa.String(length=10), nullable=False),
        sa.Column("first_cycle", sa.BigInteger(), nullable=False),
        sa.Column("last_cycle", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("operator_signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("checker_signature", sa.LargeBinary(length=64)),
        sa.Column("refusal", sa.Text()),
        sa.PrimaryKeyConstraint("period", name="pk_periods"),
    )
    op.create_table(
        "offers",
        sa.Column("offer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("bank", sa.BigInteger(), nullable=False),
        sa.Column("advance_fen", sa.BigInteger(), nullable=False),
        sa.Column("discount_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("proceeds_fen", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("made_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["members.member_id"], name="fk_offers_bank"),
        sa.ForeignKeyConstraint(["receivable_id"], ["receivables.receivable_id"], name="fk_offers_receivable_id"),
        sa.PrimaryKeyConstraint("offer_id", name="pk_offers"),
        sa.UniqueConstraint("bank", "nonce", name="uq_offers_bank_nonce"),
    )
    op.create_index("ix_offers_bank", "offers", ["bank"])
    op.create_index("ix_offers_receivable_id", "offers", ["receivable_id"])
