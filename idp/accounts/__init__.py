"""People: who can sign in, who is signed in.

people            accounts, made and changed by clerks and commands
authenticators/   ways to prove who one is
numbers           one identity number, one account
sessions          from a password to a session, one counter of failures per account
cookies           what a browser keeps
backchannel       services are told that a session ended (OIDC Back-Channel Logout)
"""
