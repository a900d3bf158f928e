"""Sealed PDF (PAdES): written and read by the same few lines.

original   the layout of the page that our renderer makes
layout     the incremental section that seals it
gap        the place of the signature, and nothing else, is outside what is signed
sealer     seals at the level that evidence and time-stamp allow; reads our seals back
"""
