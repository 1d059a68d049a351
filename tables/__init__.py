"""The Faust tables: RocksDB-backed caches of what the lake holds."""
