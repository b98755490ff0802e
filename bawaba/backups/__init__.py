"""Copies of everything that can be put back: made, encrypted, stored elsewhere, proved, and pruned."""
