"""Is this certificate good, and may you know?

service       `Verifications`: by number, in batches, by file or code, by the holder's showing
requests      what is asked, read strictly
pipeline      the steps that all of them take
decisions     from facts to an answer and its ledger entry; pure
facts         what the database says to a question
documents     what a file or a QR code says of itself
provenance    what speaks for a record: its signature, its seal's history
showing       `Showing`: a holder shows a certificate by a code
quota         how often somebody may ask in vain
idempotency   ask once, be answered once
"""
