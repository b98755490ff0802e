"""The people who run the hotspot: signing in, what each may do, and what they did."""
