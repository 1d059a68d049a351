"""K2: a market-data lakehouse."""
