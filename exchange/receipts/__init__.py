"""Signed answers that can be proved years later.

writing    what a receipt says, and the file with its proofs
signing    who signs it
checking   `verify_receipt`: the file alone, without asking anybody
"""
