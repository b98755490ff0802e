"""What happened in a request, how this installation is, and what its owner could mend."""
