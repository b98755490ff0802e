"""The web front door: Flask's pages and API behind the ASGI front, on one port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from apiflask import APIFlask
from flask import Flask

from bawaba.accounts import api as accounts_api
from bawaba.accounts import people_web as people_pages
from bawaba.accounts import web as accounts_web
from bawaba.accounts.authentication import authenticate
from bawaba.backups import api as backups_api
from bawaba.backups import web as backups_pages
from bawaba.core.runtime import Runtime
from bawaba.diagnostics import api as diagnostics_api
from bawaba.diagnostics import web as diagnostics_pages
from bawaba.monitoring import api as health_api
from bawaba.monitoring import web as monitoring_pages
from bawaba.notifications import api as notifications_api
from bawaba.notifications import web as notifications_pages
from bawaba.plans import api as plans_api
from bawaba.plans import web as plans_pages
from bawaba.portal import api as portal_api
from bawaba.portal import captive, hotspot
from bawaba.portal import web as portal_web
from bawaba.radius import api as radius_api
from bawaba.reports import api as reports_api
from bawaba.reports import web as reports_pages
from bawaba.routers import api as routers_api
from bawaba.routers import error_list_api, error_list_web
from bawaba.routers import web as routers_pages
from bawaba.routers.setup import web as router_setup_pages
from bawaba.sales import api as sales_api
from bawaba.sales import counter_api, counter_web
from bawaba.sales import web as sales_pages
from bawaba.sessions import api as sessions_api
from bawaba.sessions import card_page, care_api, care_web
from bawaba.sessions import web as sessions_pages
from bawaba.sites import api as sites_api
from bawaba.sites import web as sites_pages
from bawaba.upkeep import web as upkeep_pages
from bawaba.vouchers import adoption_web as adoption_pages
from bawaba.vouchers import api as vouchers_api
from bawaba.vouchers import batch_page
from bawaba.vouchers import web as vouchers_pages
from bawaba.web import answers, api_docs, guard, pages, styleguide, tracing
from bawaba.web.row_id import RowId
from bawaba.webhooks import api as webhooks_api
from bawaba.webhooks import web as webhooks_pages

HERE = Path(__file__).parent
BODY_MOST = 1024 * 1024
BLUEPRINTS = [
    health_api.bp,
    api_docs.bp,
    accounts_api.bp,
    accounts_web.bp,
    sites_api.bp,
    plans_api.bp,
    routers_api.bp,
    error_list_api.bp,
    vouchers_api.bp,
    sales_api.bp,
    sessions_api.bp,
    monitoring_pages.bp,
    backups_api.bp,
    backups_pages.bp,
    upkeep_pages.bp,
    diagnostics_api.bp,
    diagnostics_pages.bp,
    notifications_api.bp,
    notifications_pages.bp,
    webhooks_api.bp,
    webhooks_pages.bp,
    people_pages.bp,
    styleguide.bp,
    sites_pages.bp,
    plans_pages.bp,
    routers_pages.bp,
    error_list_web.bp,
    router_setup_pages.bp,
    vouchers_pages.bp,
    adoption_pages.bp,
    sales_pages.bp,
    reports_api.bp,
    reports_pages.bp,
    counter_web.bp,
    counter_api.bp,
    batch_page.bp,
    card_page.bp,
    care_web.bp,
    care_api.bp,
    sessions_pages.bp,
    portal_api.bp,
    portal_web.bp,
    radius_api.bp,
    hotspot.bp,
]


def create_app(rt: Runtime) -> Flask:
    """The Flask application around a Runtime."""
    app = APIFlask(
        "bawaba", title="Bawaba", version="1", spec_path="/api/openapi.json", json_errors=False,
        docs_path=None,  # our own page, without the scripts of others
        static_folder=None,  # type: ignore[arg-type]
    )  # fmt: skip
    app.extensions["bawaba"] = rt
    app.config["MAX_CONTENT_LENGTH"] = BODY_MOST
    app.config["OPENAPI_VERSION"] = "3.1.0"
    app.config["AUTO_SERVERS"] = False  # the name that a stranger asks for is not ours to print
    app.jinja_loader = jinja2.ChoiceLoader(
        [
            jinja2.FileSystemLoader(HERE / "web" / "templates"),
            jinja2.PrefixLoader(
                {folder.parent.name: jinja2.FileSystemLoader(folder) for folder in HERE.glob("*/templates")}
            ),
        ]
    )
    answers.install(app)
    tracing.install(app, rt)
    captive.install(app, rt)
    guard.install(app, authenticate)
    pages.install(app)
    app.url_map.converters["int"] = RowId
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    _open_docs(app)
    return app


def _open_docs(app: Flask) -> None:
    """The OpenAPI page and file come from the framework, without a mark of ours: they are open."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("openapi."):
            view: Any = app.view_functions[rule.endpoint]
            app.view_functions[rule.endpoint] = guard.open_to_everyone(view)
