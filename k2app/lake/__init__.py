"""The lake: Iceberg tables, exactly-once commits, history and audit."""
