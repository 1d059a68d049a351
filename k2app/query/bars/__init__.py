"""Bars: open, high, low, close, volume and VWAP of any interval."""
