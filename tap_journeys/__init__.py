"""tap_journeys."""
