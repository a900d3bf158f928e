"""Sealed PDF (PAdES): written and read by the same few lines.

original   the layout of the page that our renderer makes
layout     the incremental section that seals it
sealer     seals at the level that evidence and time-stamp allow; reads our seals back
reading    what is to be said of any PDF, ours or not
format     the row of the table
"""

from signing.formats.pdf.format import PdfSignature
from signing.formats.pdf.layout import looks_sealed
from signing.formats.pdf.reading import Examine
from signing.formats.pdf.sealer import PdfSealer, completed

__all__ = ["Examine", "PdfSealer", "PdfSignature", "completed", "looks_sealed"]
