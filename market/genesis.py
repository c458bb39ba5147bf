"""What a market's chain begins with: its institutions, its windows, its salt. Server and audit must agree on it."""

from market.config import INSTITUTIONS, Config
from settlement.acts import Admission, Role
from settlement.deploy import P256VERIFY, Genesis


def genesis_of(config: Config) -> Genesis:
    """The arguments of the contracts' constructors."""
    members = [Admission(number, config.key_of(role), Role[role.upper()]) for role, number in INSTITUTIONS.items()]
    return Genesis(
        config.salt,
        members,
        dispute_window_s=config.settlement.dispute_window_s,
        horizon_s=config.market.horizon_slots * config.slot_s,
        operator_bond_micro=config.operator_bond_micro,
        challenge_bond_micro=config.challenge_bond_micro,
        collection=config.market.collection_account.hash,
        day_offset_s=config.day_offset_s,
        verifier=bytes.fromhex(config.chain.verifier) or P256VERIFY,
    )
