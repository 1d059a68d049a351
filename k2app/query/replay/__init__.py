"""Replay: trades and quotes as one stream, in the order in which they happened, at any speed."""
