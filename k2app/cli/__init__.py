"""The commands `k2` and `k2-query`: parse, call, print."""
