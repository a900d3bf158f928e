"""Seals: whose, valid when, and who may use them for what.

registry     `Seals`: application, making, renewal, suspension, revocation, destruction
appearance   the round red seal, drawn from its words
permits      leave to use a seal: for a purpose, so often, by two people
commands     the keeper's commands
"""
