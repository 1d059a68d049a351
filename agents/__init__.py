"""The Faust agents: subscribe, and hand whole batches to ingest."""
