"""A UniFi Network controller in software, with access points and phones behind it: the classic and the official API.

Facts are from UniFi's API reference, from public clients of the classic API and from replies that others have recorded;
where none of them says what a real controller does, there is a switch in `settings.Behaviour`.
"""
