"""Are the routers well, and what do they count?"""
