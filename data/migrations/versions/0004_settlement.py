"""What settlement needs beyond one market day: disputes, late readings, area meters, witnesses."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _fills()
    _estimates()
    _drafts()
    _witness_statements()
    _custody()
    _metering()
    _journal_salts()
    _block_hashes()
    _disputes()
    _reading_disputes()


def _fills() -> None:
    """What each order of a trade had traded before it; for the trades that are there, counted from them."""
    for side in ("buy", "sell"):
        column = f"{side}_filled_before_lots"
        op.add_column("trades", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
        op.execute(
            f"""
            UPDATE trades SET {column} = (
                SELECT coalesce(sum(earlier.quantity_lots), 0) FROM trades AS earlier
                WHERE earlier.{side}_order = trades.{side}_order AND earlier.trade_id < trades.trade_id
            )
            """
        )


def _estimates() -> None:
    op.create_table(
        "estimates",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "slot_s", "node_id", name="pk_estimates"),
        comment="Meters that traded in a slot and have no reading that counts",
    )


def _drafts() -> None:
    """A cycle is drafted in portions, and puts right what came late for earlier ones."""
    op.create_table(
        "drafts",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", name="pk_drafts"),
        comment="The cycle being drafted: its day is closed, its deliveries and lines count once it stands in cycles",
    )
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.drop_constraint("fk_deliveries_cycle", type_="foreignkey")
    with op.batch_alter_table("statement_lines") as lines:
        lines.drop_constraint("fk_statement_lines_cycle", type_="foreignkey")
        lines.add_column(sa.Column("adjusts", sa.BigInteger()))
    op.drop_index("ix_readings_slot_s", "readings")
    op.create_index("ix_readings_slot_s_received_s", "readings", ["slot_s", "received_s"])


def _witness_statements() -> None:
    op.create_table(
        "witness_statements",
        sa.Column("witness", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("block_s", sa.BigInteger(), nullable=False),
        sa.Column("witnessed_s", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("received_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("witness", "number", name="pk_witness_statements"),
        comment="Heads of the chain as outside parties countersigned them",
    )


def _custody() -> None:
    op.create_table(
        "custody_balances",
        sa.Column("as_of_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("balance_micro", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_custody_balances_outbox_id"),
        sa.PrimaryKeyConstraint("as_of_s", name="pk_custody_balances"),
        comment="What the custodian said it holds for the market, as it signed it",
    )


def _metering() -> None:
    """Readings by slot, without a row number of their own; their leaves come out of them again."""
    op.add_column("nodes", sa.Column("connected_s", sa.BigInteger(), nullable=False, server_default="0"))
    _area_meters()
    _meter_keys()
    _reading_signatures()
    _readings()


def _area_meters() -> None:
    op.create_table(
        "area_meters",
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        *(sa.Column(f"{name}", sa.BigInteger(), nullable=False) for name in ("from_s", "export_lots", "import_lots")),
        sa.Column("tolerance_bp", sa.BigInteger(), nullable=False),
        sa.Column("tolerance_lots", sa.BigInteger(), nullable=False),
        sa.Column("set_s", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_area_meters_node_id"),
        sa.ForeignKeyConstraint(["signer"], ["members.member_id"], name="fk_area_meters_signer"),
        sa.PrimaryKeyConstraint("node_id", "number", name="pk_area_meters"),
    )


def _meter_keys() -> None:
    op.create_table(
        "meter_keys",
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("from_signature", sa.BigInteger(), nullable=False),
        sa.Column("to_signature", sa.BigInteger()),
        sa.Column("x", sa.LargeBinary(length=32), nullable=False),
        sa.Column("y", sa.LargeBinary(length=32), nullable=False),
        sa.Column("registered_s", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("proof", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_meter_keys_node_id"),
        sa.ForeignKeyConstraint(["signer"], ["members.member_id"], name="fk_meter_keys_signer"),
        sa.PrimaryKeyConstraint("node_id", "number", name="pk_meter_keys"),
        comment="Keys that meters sign their readings with themselves",
    )


def _reading_signatures() -> None:
    """All leaves of a signature that is there become such as are kept, each with its place before it."""
    with op.batch_alter_table("reading_signatures") as signatures:
        signatures.alter_column("signer", existing_type=sa.BigInteger(), nullable=True)
        signatures.add_column(sa.Column("node_id", sa.BigInteger()))
        signatures.add_column(sa.Column("received_s", sa.BigInteger(), nullable=False, server_default="0"))
        for name in ("first_slot_s", "last_slot_s", "first_node", "last_node"):
            signatures.add_column(sa.Column(name, sa.BigInteger()))
        signatures.alter_column("leaves", new_column_name="other_leaves", existing_type=sa.LargeBinary())
        signatures.create_foreign_key("fk_reading_signatures_node_id", "nodes", ["node_id"], ["node_id"])
    with op.batch_alter_table("reading_signatures") as signatures:
        signatures.alter_column("received_s", existing_type=sa.BigInteger(), server_default=None)
    connection = op.get_bind()
    signed = sa.table("reading_signatures", sa.column("signature_id"), sa.column("other_leaves"))
    for number, leaves in connection.execute(sa.select(signed.c.signature_id, signed.c.other_leaves)).all():
        placed = b"".join(
            place.to_bytes(4, "big") + leaves[32 * place : 32 * place + 32] for place in range(len(leaves) // 32)
        )
        connection.execute(signed.update().where(signed.c.signature_id == number).values(other_leaves=placed))
    op.create_index("ix_reading_signatures_received_s", "reading_signatures", ["received_s"])
    for name, taken in (
        ("first_slot_s", "min(r.slot_s)"),
        ("last_slot_s", "max(r.slot_s)"),
        ("first_node", "min(r.node_id)"),
        ("last_node", "max(r.node_id)"),
    ):
        op.execute(
            f"UPDATE reading_signatures SET {name} = "
            f"(SELECT {taken} FROM readings AS r WHERE r.signature_id = reading_signatures.signature_id)"
        )
    op.execute(
        """
        UPDATE reading_signatures SET received_s = coalesce(
            (SELECT min(r.received_s) FROM readings AS r WHERE r.signature_id = reading_signatures.signature_id),
            (SELECT min(q.received_s) FROM quarantined_readings AS q
             WHERE q.signature_id = reading_signatures.signature_id), 0)
        """
    )


def _readings() -> None:
    op.create_table(
        "new_readings",
        sa.Column("slot_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("export_lots", sa.BigInteger(), nullable=False),
        sa.Column("import_lots", sa.BigInteger(), nullable=False),
        sa.Column("signature_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_readings_node_id"),
        sa.PrimaryKeyConstraint("slot_s", "node_id", "version", name="pk_new_readings"),
        sqlite_with_rowid=False,
    )
    columns = "slot_s, node_id, version, export_lots, import_lots, signature_id, leaf_index"
    op.execute(f"INSERT INTO new_readings ({columns}) SELECT {columns} FROM readings ORDER BY slot_s, node_id, version")
    op.drop_table("readings")
    op.rename_table("new_readings", "readings")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_new_readings RENAME TO pk_readings")


def _journal_salts() -> None:
    """The heads of the batches that are there were taken without."""
    op.add_column("journal", sa.Column("salt", sa.LargeBinary(), nullable=False, server_default=""))


def _block_hashes() -> None:
    """By which a block is known that the chain has given up."""
    for table in ("chain_events", "outbox"):
        op.add_column(table, sa.Column("block_hash", sa.LargeBinary(32), nullable=True))
    op.create_index("ix_outbox_block", "outbox", ["block"])


def _disputes() -> None:
    """Challenges, what they strike, and the cycles that fall with it."""
    op.add_column("cycles", sa.Column("round", sa.SmallInteger(), nullable=False, server_default="1"))
    op.add_column("cycles", sa.Column("outbox_id", sa.BigInteger()))
    op.create_table(
        "void_cycles",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("trades_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("voided_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "round", name="pk_void_cycles"),
        comment="Proposals that fell in a dispute, theirs or that of an earlier cycle; each is drafted again",
    )
    op.create_table(
        "challenges",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("trade_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.Column("challenger", sa.BigInteger(), nullable=False),
        sa.Column("opened_s", sa.BigInteger(), nullable=False),
        sa.Column("due_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer_outbox", sa.BigInteger()),
        sa.Column("uphold_outbox", sa.BigInteger()),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="pk_challenges"),
        comment="Mirror of Disputes, and what the market did about each challenge",
    )
    op.create_index("ix_challenges_cycle", "challenges", ["cycle"])
    op.create_index("ix_challenges_state", "challenges", ["state"])
    op.create_table(
        "struck_trades",
        sa.Column("trade_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("struck_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["trade_id"], ["trades.trade_id"], name="fk_struck_trades_trade_id"),
        sa.PrimaryKeyConstraint("trade_id", name="pk_struck_trades"),
        comment="Trades that the chain has struck: no cycle, no debt and no receivable holds them",
    )


def _reading_disputes() -> None:
    op.create_table(
        "reading_disputes",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["meters.node_id"], name="fk_reading_disputes_node_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_reading_disputes_member_id"),
        sa.PrimaryKeyConstraint("number", name="pk_reading_disputes"),
    )
    op.create_index("ix_reading_disputes_node_id_slot_s", "reading_disputes", ["node_id", "slot_s"])
    op.create_index("ix_reading_disputes_member_id", "reading_disputes", ["member_id"])
    op.create_table(
        "reading_dispute_steps",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("act", sa.String(length=10), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("export_lots", sa.BigInteger()),
        sa.Column("import_lots", sa.BigInteger()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["reading_disputes.number"], name="fk_reading_dispute_steps_number"),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_reading_dispute_steps_member_id"),
        sa.PrimaryKeyConstraint("number", "step", name="pk_reading_dispute_steps"),
        comment="What was said in disputes about readings; nothing is ever changed here",
    )
