"""The root agent on a Linux gateway. It imports nothing of ours but itself, and alone may run `nft` and `tc`."""
