"""The citizen's pages: my certificates, showing one, who looked.

pages            the pages
access_history   ledger entries as sentences about who looked, at what, and why
pictures         what a certificate looks like, as a picture
"""
