"""The officer's pages, from a draft to the seal.

drafts      drafts, preview, review
register    the authority's certificates, legal acts
bulk        upload, dry run, second officer; bulk_progress: what happens then, live
permits     leave to use a seal: asked, granted, used by uploading what is to be sealed
seals       the keeper's register of seals, from application to destruction
documents   any signed document: is it sealed, by whom, and is it unchanged
troubles    why something approved is not sealed yet
"""
