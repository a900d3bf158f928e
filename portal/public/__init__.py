"""Pages for everybody.

pages        start page, issuers, status, help and the statements
verify       by number, file or photo, and /v/{token} behind every QR code
developers   a ten-minute start for other people's programs
"""
