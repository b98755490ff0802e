"""Cards on paper: PDF sheets with true millimetres. A child process sets them (`python -m bawaba.vouchers.sheets`).

Typst sets what all cards share once; that is stamped on each card's place, and code, serial and QR code are written on
it. What is imported here is light: the typesetter and the PDF library are for the child alone.
"""

from bawaba.vouchers.sheets.job import Labels, PrintCard, SheetJob, card_line, job_line
from bawaba.vouchers.sheets.layouts import LAYOUTS, Layout

__all__ = ["LAYOUTS", "Labels", "Layout", "PrintCard", "SheetJob", "card_line", "job_line"]
