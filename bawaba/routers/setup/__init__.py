"""Setting a router up for Bawaba: the script that its owner reads before it is run, and the one that undoes it."""
