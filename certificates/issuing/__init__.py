"""From a draft to an issued certificate, by two people.

drafts       `Drafts`: draft → submit → approve
drafting     what a draft says, checked and bound by its digest
sealing      `Sealing`: from an approved draft to one certificate, once
making       everything made outside a transaction, kept in one commit
rendering    one A4 page as PDF/A-3b; a missing glyph fails it
completing   time-stamps that could not be had when sealing, added later
"""
