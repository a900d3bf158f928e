"""Sign-in, consent, sign-out; signing in another device.

signin   the pages of a sign-in
device   a person answers for a device that has no keyboard
"""
