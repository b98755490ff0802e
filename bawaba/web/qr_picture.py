"""A QR code as a picture inside a page (cards have theirs in the card store)."""

from __future__ import annotations

from base64 import b64encode


def qr_data_url(text: str) -> str:
    """The text as a QR code, as the address of an image that needs no request."""
    import zxingcpp  # only this one page needs it

    picture = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_svg()
    return "data:image/svg+xml;base64," + b64encode(picture.encode()).decode()
