"""What becomes of the statistics of chunks: gathered, summed up in blocks, merged, and saved."""
