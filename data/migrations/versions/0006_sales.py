"""How receivables are sold: auctions, programs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Auctions, programs, and what an offer adds when its receivable is paid late; offers of before add nothing."""
    _auctions()
    _programs()
    op.add_column("offers", sa.Column("costs_fen", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("offers", sa.Column("late_rate_ppm", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("offers", sa.Column("with_recourse", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("offers", sa.Column("registration", sa.LargeBinary(32), nullable=False, server_default=""))


def _auctions() -> None:
    op.create_table(
        "auctions",
        sa.Column("auction", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seller", sa.BigInteger(), nullable=False),
        sa.Column("advance_rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("advance_fen", sa.BigInteger(), nullable=False),
        sa.Column("minimum_fen", sa.BigInteger(), nullable=False),
        sa.Column("bond_fen", sa.BigInteger(), nullable=False),
        sa.Column("costs_fen", sa.BigInteger(), nullable=False),
        sa.Column("late_rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("year_days", sa.SmallInteger(), nullable=False),
        sa.Column("with_recourse", sa.Boolean(), nullable=False),
        sa.Column("closes_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("winner", sa.BigInteger()),
        sa.Column("proceeds_fen", sa.BigInteger()),
        sa.Column("pay_by_s", sa.BigInteger()),
        sa.Column("act_outbox", sa.BigInteger()),
        sa.Column("act_s", sa.BigInteger()),
        sa.ForeignKeyConstraint(["act_outbox"], ["outbox.outbox_id"], name="fk_auctions_act_outbox"),
        sa.ForeignKeyConstraint(["receivable_id"], ["receivables.receivable_id"], name="fk_auctions_receivable_id"),
        sa.ForeignKeyConstraint(["seller"], ["members.member_id"], name="fk_auctions_seller"),
        sa.PrimaryKeyConstraint("auction", name="pk_auctions"),
    )
    op.create_index("ix_auctions_receivable_id", "auctions", ["receivable_id"])
    op.create_index("ix_auctions_seller", "auctions", ["seller"])
    op.create_index("ix_auctions_state_closes_s", "auctions", ["state", "closes_s"])
    op.create_table(
        "auction_bids",
        sa.Column("auction", sa.BigInteger(), nullable=False),
        sa.Column("bank", sa.BigInteger(), nullable=False),
        sa.Column("bid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("place", sa.SmallInteger()),
        sa.Column("proceeds_fen", sa.BigInteger()),
        sa.Column("bond", sa.String(length=10), nullable=False),
        sa.Column("act_outbox", sa.BigInteger()),
        sa.ForeignKeyConstraint(["act_outbox"], ["outbox.outbox_id"], name="fk_auction_bids_act_outbox"),
        sa.ForeignKeyConstraint(["auction"], ["auctions.auction"], name="fk_auction_bids_auction"),
        sa.ForeignKeyConstraint(["bank"], ["members.member_id"], name="fk_auction_bids_bank"),
        sa.PrimaryKeyConstraint("auction", "bank", name="pk_auction_bids"),
    )
    op.create_index("ix_auction_bids_bank", "auction_bids", ["bank"])


def _programs() -> None:
    op.create_table(
        "programs",
        sa.Column("program", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bank", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("advance_rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("limit_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("costs_fen", sa.BigInteger(), nullable=False),
        sa.Column("late_rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("year_days", sa.SmallInteger(), nullable=False),
        sa.Column("with_recourse", sa.Boolean(), nullable=False),
        sa.Column("registration", sa.LargeBinary(length=32), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64)),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("drawn_fen", sa.BigInteger(), nullable=False),
        sa.Column("act_outbox", sa.BigInteger()),
        sa.Column("made_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["act_outbox"], ["outbox.outbox_id"], name="fk_programs_act_outbox"),
        sa.ForeignKeyConstraint(["bank"], ["members.member_id"], name="fk_programs_bank"),
        sa.PrimaryKeyConstraint("program", name="pk_programs"),
        sa.UniqueConstraint("bank", "nonce", name="uq_programs_bank_nonce"),
        sa.UniqueConstraint("digest", name="uq_programs_digest"),
    )
    op.create_index("ix_programs_state", "programs", ["state"])
    op.create_table(
        "program_rows",
        sa.Column("program", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("debtor", sa.BigInteger(), nullable=False),
        sa.Column("max_days", sa.BigInteger(), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["debtor"], ["members.member_id"], name="fk_program_rows_debtor"),
        sa.ForeignKeyConstraint(["program"], ["programs.program"], name="fk_program_rows_program"),
        sa.PrimaryKeyConstraint("program", "place", name="pk_program_rows"),
        comment="A program's prices, written out for each debtor that its criteria let in; the bank signs the root",
    )
    op.create_index("ix_program_rows_debtor_program", "program_rows", ["debtor", "program"])
