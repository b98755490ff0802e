"""Cards: batches, codes, printing, claiming."""
