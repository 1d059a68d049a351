"""CSV files to validated Arrow rows: profiles, reader, symbols, numbering, the ledger's logic, rejects."""
