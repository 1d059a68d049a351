"""Questions to the lake: from a pinned snapshot, through planned Parquet files, to exact answers.

::

    requests   what may be asked, and how text becomes it          rows        trades and quotes, a page at a time
    snapshots  which snapshot of each table answers                summary     a trading day in one row
    plan       snapshot and filter -> data files                   gaps        sequence gap events, folded to states
    scan       data files -> a typed SQL relation                  inventory   symbols, and counts of the tables
    pool       threads, time limits, interruption                  page        opaque cursors
    reader     all of these for one query                          result      rows and what must be said of them
    engine     every query by name                                 result_text result -> JSON and CSV
    moments    the snapshot that a table had at a time             pins        a snapshot set as text
    tagging    which snapshots a new tag names                     history     the snapshots themselves
    diff       what came between two of them                       range       from when to when there are rows
    completeness  what is missing of each trading date             dead_letters  what could not be read
"""
