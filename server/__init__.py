"""The composition root: the only package that knows every other.

settings       every setting, read once
assembly       who gets which collaborators
web/           the two ways in: the fast lane and the ordinary one
running/       processes, background work, health and metrics, logs
sandbox/       made-up people and departments; the whole mission in the terminal
migrations/    how the schema got here
cli            `python -m server WORD`; job_commands, key_service: words of their own
"""
