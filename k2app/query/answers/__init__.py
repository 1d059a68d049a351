"""Answers: rows and what must be said of them, as pages, streams, text and files."""
