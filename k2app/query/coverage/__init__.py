"""What the lake holds, and whether it is all there."""
