"""The pure domain: topics, exchanges, trading dates, sequences. No I/O library is imported here."""
