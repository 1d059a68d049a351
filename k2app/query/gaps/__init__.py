"""Sequence gaps: what was recorded, what is open, and what answers say of them."""
