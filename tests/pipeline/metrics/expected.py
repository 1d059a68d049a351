"""What a worker's metrics do in a life that has everything in it: every family, and none left out.

`RISES`: the sum over its series is larger afterwards. `SHOWN`: on some page, a series is above 0. `SET`: it is there,
and why it cannot be asked to move is told.
"""

RISES = "rises"
SHOWN = "shown"
SET = "set"

EXPECTED: dict[str, str | tuple[str, str]] = {
    # from the log to the buffer
    "k2_records_in": RISES,
    "k2_record_bytes_in": RISES,
    "k2_batches_in": RISES,
    "k2_records_redelivered": RISES,
    "k2_decode_seconds": RISES,
    "k2_decode_failures": RISES,
    "k2_stand_downs": (SET, "reading fails where the log is trimmed under the reader: test_stream_holes.py"),
    "k2_buffered_rows": SHOWN,
    "k2_buffered_bytes": SHOWN,
    "k2_oldest_unflushed_seconds": SHOWN,
    "k2_commit_age_seconds": SHOWN,
    "k2_sequence_states": SHOWN,
    "k2_open_gaps": SHOWN,
    "k2_open_gaps_of_symbol": SHOWN,
    "k2_ingest_paused": SHOWN,
    "k2_ingest_pauses": RISES,
    # from the buffer to the lake
    "k2_rows_committed": RISES,
    "k2_gap_events": RISES,
    "k2_gap_numbers": RISES,
    "k2_hole_offsets": (SET, "a worker finds it when it starts again: test_stream_holes.py"),
    "k2_dead_letters": RISES,
    "k2_flush_seconds": RISES,
    "k2_flush_rows": RISES,
    "k2_flush_files": RISES,
    "k2_flush_bytes": RISES,
    "k2_commits": RISES,
    "k2_commit_conflicts": RISES,
    "k2_commit_doubts": RISES,
    "k2_commit_attempts": RISES,
    "k2_last_commit_timestamp_seconds": RISES,
    "k2_last_event_timestamp_seconds": RISES,
    # the lake
    "k2_table_snapshots": RISES,
    "k2_table_rows": RISES,
    "k2_table_files": RISES,
    "k2_table_bytes": RISES,
    "k2_committed_offset": RISES,
    "k2_catalog_request_seconds": RISES,
    "k2_catalog_errors": RISES,
    "k2_disk_free_bytes": SHOWN,
    # the log
    "k2_lag_records": SHOWN,
    "k2_lag_seconds": SHOWN,
    "k2_pending_write_records": SHOWN,
    "k2_pending_commit_records": SHOWN,
    "k2_assigned_partitions": SHOWN,
    "k2_batch_seconds": RISES,
    "k2_rebalances": SHOWN,
    "k2_rebalance_seconds": SHOWN,
    "k2_stale_batches": RISES,
    "k2_offset_commit_seconds": RISES,
    "k2_offset_commit_failures": RISES,
    "k2_waiting": SHOWN,
    "k2_log_bytes": RISES,
    "k2_log_trimmed_records": RISES,
    "k2_state_writes": RISES,
    "k2_state_write_seconds": RISES,
    "k2_states_restored": RISES,
    "k2_recovery_seconds": RISES,
    "k2_rocksdb_bytes": SHOWN,
    # the registry
    "k2_registry_requests": RISES,
    "k2_registry_request_seconds": RISES,
    "k2_registry_schemas": SHOWN,
    # queries and replays
    "k2_queries": RISES,
    "k2_query_seconds": RISES,
    "k2_query_rows": RISES,
    "k2_query_bytes": RISES,
    "k2_query_scanned_rows": RISES,
    "k2_query_scanned_bytes": RISES,
    "k2_queries_running": SHOWN,
    "k2_queries_queued": SHOWN,
    "k2_query_streams_open": SHOWN,
    "k2_query_plans": RISES,
    "k2_replays_running": SHOWN,
    "k2_replay_rows": RISES,
    "k2_replay_bytes": RISES,
    "k2_duckdb_memory_bytes": SHOWN,
    "k2_duckdb_spill_bytes": (SET, "DuckDB is given no folder to spill into: it must stay at 0"),
    # HTTP
    "k2_http_requests": RISES,
    "k2_http_request_seconds": RISES,
    "k2_http_requests_in_flight": SHOWN,
    "k2_http_limited": RISES,
    "k2_http_unauthorised": RISES,
    "k2_http_response_bytes": RISES,
    # the process
    "k2_build_info": SHOWN,
    "k2_ready": SHOWN,
    "k2_event_loop_delay_seconds": RISES,
    "k2_clock_timestamp_seconds": SHOWN,
    "k2_memory_used_bytes": SHOWN,
    "k2_memory_limit_bytes": SHOWN,
    "k2_look_timestamp_seconds": RISES,
    "k2_log_lines": RISES,
}


def broken_promises(before, pages, declared):
    """Families that do not do what is expected of them, with what they do."""
    after = pages[-1]
    found = {f"{name}: not in the table" for name in declared - EXPECTED.keys()}
    found |= {f"{name}: not declared" for name in EXPECTED.keys() - declared}
    for name, promise in EXPECTED.items():
        kind = promise if isinstance(promise, str) else promise[0]
        if kind == RISES and not after.total(name) > before.total(name):
            found.add(f"{name}: was {before.total(name)}, is {after.total(name)}")
        if kind == SHOWN and not any(
            value > 0 for p in (before, *pages) for value in p.values.get(name, {}).values()
        ):
            found.add(f"{name}: never above 0")
        if kind == SET and not after.values.get(name):
            found.add(f"{name}: not there")
    return sorted(found)
