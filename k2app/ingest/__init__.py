"""From the log to the lake: decode, check sequences, buffer, flush. See `flush` for the commit order."""
