"""How a run went, as log records: words for people, fields for those who read logs as JSON.

With the SDK's ``StructuredFormatter`` the fields are the ``extra`` of a record.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping

from singer_sdk.metrics import Metric, Point, get_metrics_logger
from singer_sdk.metrics import log as log_metric

RUN_ID = "JOURNEYS_RUN_ID"  # a scheduler may set it, so that all plugins of a pipe log one id


class RunLog:
    """Logs with the id of the run."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.run_id = os.environ.get(RUN_ID) or secrets.token_hex(8)

    def streams(self, events: Mapping[str, int]) -> None:
        """One record and one metric for each stream that events came from."""
        for stream, count in sorted(events.items()):
            fields = {"run_id": self.run_id, "stream_name": stream, "events": count}
            self.logger.info("Stream '%s': %s events.", stream, f"{count:,}", extra=fields)
            tags = {"stream": stream, "pid": os.getpid(), "run_id": self.run_id}
            log_metric(get_metrics_logger(), Point("counter", Metric.RECORD_COUNT, count, tags))

    def end(self, seconds: float, counts: Mapping[str, int]) -> None:
        """One record with everything that was counted."""
        fields = {"run_id": self.run_id, "duration_s": round(seconds, 3), **counts}
        self.logger.info("Run %s took %.1f s.", self.run_id, seconds, extra=fields)
