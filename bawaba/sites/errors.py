"""What can go wrong around sites."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Invalid, NotFound
from bawaba.web.messages import say


class SiteNotFound(NotFound):
    """Not there, or not one of the caller's."""


class NoSite(Conflict):
    """There is no site yet, or the caller was given none."""

    code = "no_site"


class ChooseSite(Invalid):
    """The caller has several sites and did not say which."""

    def __init__(self) -> None:
        super().__init__(fields={"site_id": ["choose one of your sites"]})


class CurrencyInUse(Conflict):
    """Prices are kept in the smallest unit of the site's money, so it stays once there are prices."""

    code = "currency_in_use"


say(
    no_site="There is no site for you yet. Ask an administrator to add one or to give you one.",
    currency_in_use="This site has prices already, so its money stays as it is. Add another site for other money.",
)
