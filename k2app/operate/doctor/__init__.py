"""`k2 doctor`: whether every configured part answers, is the right one, and is as K2 needs it.

::

    findings   what a check says              lake      catalog, tables, warehouse
    doctor     every check, in order          floors    whether log and lake still belong together
    machine    Python, packages, disk         queries   DuckDB on the lake's newest file
    log        log, topics, workers           web       the port, the server on it, its keys
    kafka      whether its topics keep records        registry  schemas under their subjects

Every check only looks; the one that writes (a file of some bytes into the warehouse) takes it away again.
"""
