"""What was sold, for how much, by whom: one row a card."""
