"""Every table of the product, so that migrations and tests see them all."""

import bawaba.accounts.models
import bawaba.backups.models
import bawaba.core.models
import bawaba.diagnostics.models
import bawaba.monitoring.models
import bawaba.notifications.models
import bawaba.plans.models
import bawaba.radius.models
import bawaba.routers.models
import bawaba.sales.models
import bawaba.sessions.models
import bawaba.sites.models
import bawaba.vouchers.models
import bawaba.webhooks.models  # noqa: F401
from bawaba.core.database import Base

metadata = Base.metadata
