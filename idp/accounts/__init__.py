"""People: who can sign in, who is signed in.

people            accounts, made and changed by clerks and commands
authenticators/   ways to prove who one is: a table
flow              a sign-in as a state machine; pure
steps             what it needs from the database, and leaves there
administration    changed, disabled, enabled, ended; deciders: by whom; closing: what ends then
numbers           one identity number, one account
sessions          from a proof to a session, and to its end
cookies           what a browser keeps
backchannel       services are told that a session ended (OIDC Back-Channel Logout)
"""
