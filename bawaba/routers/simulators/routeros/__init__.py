"""A MikroTik RouterOS hotspot router in software: the API over real sockets, and a hotspot behind it that behaves.

Facts are from the RouterOS manual (API, HotSpot, User, Services pages) and from replies recorded by others on live
devices; where neither says what a real router does, there is a switch in `settings.Behaviour`.
"""
