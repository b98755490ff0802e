"""openNDS gateways that fetch their guests from us by themselves (FAS level 4, authmon)."""
