"""Requests to addresses that somebody else told us.

client     `Outbound`: the networks that may be talked to, and the requests
deadline   one HTTP exchange that is over by one moment, whatever the other side does
coding     content codings, undone within a limit
"""
