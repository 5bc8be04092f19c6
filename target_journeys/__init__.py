"""target_journeys."""
