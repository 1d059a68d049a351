"""Looking after a lake and its log: what operators ask and do. Printing is `k2app.cli`'s."""
