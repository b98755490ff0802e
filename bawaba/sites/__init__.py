"""Places with routers and guests, and which of them a person sees."""
