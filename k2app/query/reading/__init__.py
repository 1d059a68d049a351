"""What every question reads with: pinned snapshots, planned files, and their rows in a total order."""
