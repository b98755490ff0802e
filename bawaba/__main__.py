"""`python -m bawaba` is the command `bawaba`."""

from bawaba.cli import main

main()
