"""A site's own colour on the guest's page, moved so far that it can be read (WCAG 2.2, 1.4.3: contrast 4.5 to 1)."""

from __future__ import annotations

LEAST_CONTRAST = 4.5
LIGHT, DARK = "#ffffff", "#1a211e"  # what the page's text stands on
STEP = 0.04


def accent(colour: str) -> str:
    """The lines of a stylesheet that put a colour like #aa3311 in place of ours, for light and dark screens."""
    light, dark = _until_readable(colour, LIGHT, "#000000"), _until_readable(colour, DARK, "#ffffff")
    return (
        f":root{{--accent:{light};--on:{_ink_on(light)}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--accent:{dark};--on:{_ink_on(dark)}}}}}"
    )


def contrast(one: str, other: str) -> float:
    """How well one colour stands on another, from 1 to 21 (WCAG 2.2, contrast ratio)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _ink_on(colour: str) -> str:
    return max(("#ffffff", "#06231d"), key=lambda ink: contrast(ink, colour))


def _until_readable(colour: str, ground: str, towards: str) -> str:
    share = 0.0
    mixed = colour
    while contrast(mixed, ground) < LEAST_CONTRAST and share < 1:
        share += STEP
        mixed = _mixed(colour, towards, min(share, 1.0))
    return mixed


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_parts(colour), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _parts(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in _parts(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
