"""The features of a member by name, in their order; ``features.py`` says what each is and computes them."""

UNKNOWN = -1
"""The value of a feature of which there is nothing to tell."""

PPM = 1_000_000

NAMES = (
    "paid_on_time_ppm",
    "days_late_worst",
    "ladder_stage",
    "delivered_ppm",
    "imbalance_ppm",
    "tenure_days",
    "months_active",
    "volume_trend_ppm",
    "volume_volatility_ppm",
    "concentration_ppm",
)
