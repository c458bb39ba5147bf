"""What members are trusted with: features from what they did here, a scorecard, decisions, limits, offers to them."""
