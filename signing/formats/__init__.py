"""One file per kind of document that can carry our seal or signature.

- `pdf` seals the PDFs we render (PAdES B-T) and reads our seals back.
- `sd_jwt_vc` issues and verifies SD-JWT VC credentials (`dc+sd-jwt`).
- `cwt_qr` makes and reads the compact signed text behind an offline QR code.

A new format is one new file here; nothing else of the room needs to know it.
"""
