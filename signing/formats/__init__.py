"""One file per kind of document that can carry our seal or signature.

- `pdf` seals the PDFs we render (PAdES B-LT) and reads our seals back; `pdf_original`, `pdf_layout`
  and `pdf_gap` know where everything is in them.
- `cades` and `detached_jws` sign any file beside itself.
- `sd_jwt_vc` issues and verifies SD-JWT VC credentials (`dc+sd-jwt`).
- `cwt_qr` makes and reads the compact signed text behind an offline QR code.

A new format is one new file here; nothing else of the room needs to know it.
"""
