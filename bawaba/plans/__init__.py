"""What a card buys, in versions that never change."""
