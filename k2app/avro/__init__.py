"""Confluent-framed Avro to Arrow and back, a column at a time.

`schema` says what is supported, `decode` and `encode` are the two directions; the rest are their parts.
"""
