"""The roof: the only package that knows every room.

settings     every setting, read once
assembly     builds the house: who gets which collaborators
access       who asks, and may they? access tokens to actors
hotpath      the fast lane's door; middleware and problems serve the other one
worker       background work: jobs, the ledger's integrator, nightly duties
cli          `python -m server WORD`
sandbox      made-up people, departments and clients
demo         the whole mission once, in the terminal
migrations   how the schema got here
"""
