"""Questions to the lake: from a pinned snapshot, through planned Parquet files, to exact answers.

::

    requests   what may be asked, and how text becomes it     reading    snapshots, plans, files, rows in order
    query      what a query is; queries, lake_queries: all    answers    rows as pages, streams, text and files
    engine     every query by name                            bars       intervals of any length
    tables     the same as calls that return Arrow            taq        trades with their quotes
    rows       trades and quotes, a page at a time            replay     everything as one stream, at any speed
    summary    a trading day in one row                       gaps       sequence gaps, folded to states
    pins       a snapshot set as text                         coverage   what there is, and what is missing
    known      whether what is named exists                   history    snapshots, differences, tags
"""
