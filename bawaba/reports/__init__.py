"""What was sold and used, by day, month, plan, batch, router, seller and hour; and what is left to sell."""
