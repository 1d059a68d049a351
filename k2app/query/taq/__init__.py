"""Trades with the quote that prevailed when they were made."""
