"""The lake's own history: snapshots, what came between them, and tags."""
