"""What a paper printed, with the place of every figure."""
