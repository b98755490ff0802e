"""A site's logo: whatever picture is uploaded, guests get a small PNG that we made of it."""

from __future__ import annotations

import hashlib
import io
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import Actor
from bawaba.core.errors import Invalid
from bawaba.core.runtime import Runtime
from bawaba.sites.models import SiteLogo
from bawaba.sites.service import get_site

UPLOAD_MOST = 512 * 1024
SIDE_MOST = 4096
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
SIZES = ((240, 80), (180, 60), (120, 40), (60, 20))
PNG_MOST = 6 * 1024  # with the page itself a guest's first look stays under 14 KB
COLOURS = 48


def small_logo(uploaded: bytes) -> bytes:
    """Make a PNG of at most 6 KiB of an uploaded picture: decoded and drawn anew, so that nothing of the file itself
    reaches a guest. Raises `Invalid` for what is too big, no picture, or of another type."""
    from PIL import Image, UnidentifiedImageError

    if len(uploaded) > UPLOAD_MOST:
        raise Invalid(fields={"logo": ["is larger than 512 kB"]})
    try:
        with Image.open(io.BytesIO(uploaded), formats=FORMATS) as picture:
            if max(picture.size) > SIDE_MOST:
                raise Invalid(fields={"logo": ["has more than 4096 pixels on a side"]})
            drawn = picture.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Invalid(fields={"logo": ["is no PNG, JPEG, WebP or GIF picture"]}) from error
    for size in SIZES:
        smaller = drawn.copy()
        smaller.thumbnail(size)
        out = io.BytesIO()
        smaller.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
        if out.tell() <= PNG_MOST:
            break
    return out.getvalue()


def set_logo(rt: Runtime, actor: Actor, site_id: int, uploaded: bytes) -> None:
    """Keep a site's logo; the one before is gone. Raises `Invalid`, `SiteNotFound`."""
    rt.read(get_site, actor, site_id)
    png = small_logo(uploaded)
    rt.transact(_set, actor, site_id, png, rt.clock.now())


def remove_logo(rt: Runtime, actor: Actor, site_id: int) -> None:
    """Go on without a logo."""
    rt.transact(_set, actor, site_id, None, rt.clock.now())


def _set(db: Session, actor: Actor, site_id: int, png: bytes | None, now: datetime) -> None:
    get_site(db, actor, site_id)
    db.execute(delete(SiteLogo).where(SiteLogo.site_id == site_id))
    if png is not None:
        db.add(SiteLogo(site_id=site_id, png=png, digest=hashlib.sha256(png).hexdigest()[:16]))
    audit.record(db, actor, "site.logo_changed", site_id, "site", site_id, now, bytes=len(png or b""))


def digest_of(db: Session, site_id: int) -> str:
    """What a site's logo is called in addresses; empty where it has none (step)."""
    return db.scalar(select(SiteLogo.digest).where(SiteLogo.site_id == site_id)) or ""


def logo(db: Session, digest: str) -> bytes | None:
    """A logo by what it is called (step)."""
    return db.scalar(select(SiteLogo.png).where(SiteLogo.digest == digest).limit(1))
