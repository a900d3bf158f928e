"""Seals: whose, valid when, and who may use them for what.

registry     `Seals`: application, making, renewal, suspension, revocation, destruction
appearance   the round red seal, drawn from its words
permits      leave to use a seal: for a purpose, so often, by two people
permit_store  the questions to their table
commands     the keeper's commands
"""
