"""Singer mapper: records in, journey events out; rules are data."""
