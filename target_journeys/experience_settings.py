"""Settings of the analysis of the experience: what is counted, and when a difference is a gap."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExperienceSettings(BaseModel):
    """How journeys are counted and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(
        default=True, description="Whether journeys are counted and compared at the end of a run."
    )
    period: Literal["week", "month", "quarter"] = Field(
        default="month", description="The length of a period; a change counts all journeys anew."
    )
    recent: int = Field(
        default=3,
        ge=1,
        description="How many periods, up to the latest, are looked at for gaps; the periods "
        "before them are what they are compared with.",
    )
    minimum: int = Field(
        default=30, ge=2, description="Fewer journeys than that on either side are not compared."
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="Of the intervals; the share of false alarms among the gaps stays below the "
        "rest.",
    )
    review_every: timedelta = Field(
        default=timedelta(days=91),
        description="How long after a review people should look at the maps again (ISO 8601).",
    )
