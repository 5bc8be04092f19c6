"""Vendors' APIs on loopback, stateful, with limits and faults: the pipeline without credentials."""
