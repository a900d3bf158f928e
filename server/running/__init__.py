"""Processes: how they start, what they do in the background, how one looks inside.

processes    web processes and their sockets
worker       background work: jobs, the ledger's integrator, nightly duties
management   health and metrics, on a port of their own
request_log  one line a request
logs         lines for operators, without personal values
"""
