"""The two ways in: the fast lane and the ordinary one.

protocol     HTTP/1.1 on the socket, with its limits
hotpath      the fast lane: path → coroutine, in front of the framework
middleware   what every ordinary answer gets: headers, limits, a request id
problems     errors as RFC 9457 problem documents
access       access tokens to actors
"""
