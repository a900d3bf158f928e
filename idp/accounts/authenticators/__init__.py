"""One file per way to prove who one is. Each answers which methods it proved (RFC 8176 `amr`).

password   something known
"""
