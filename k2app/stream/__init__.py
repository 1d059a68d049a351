"""The message log: batches, the embedded log, the registry, publishing."""
