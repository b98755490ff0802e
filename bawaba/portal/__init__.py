"""What the guest sees, and the doors a guest comes in by."""
