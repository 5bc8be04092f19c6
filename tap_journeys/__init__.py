"""The Singer tap: records of sources out, as the sources name them. One file per source."""
