"""What the commands of `bawaba` share: finding the installation they work on, honest errors, tables."""
