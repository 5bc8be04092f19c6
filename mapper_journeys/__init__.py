"""mapper_journeys."""
