"""Is this document what its authority sealed? A report in the words of ETSI EN 319 102-1.

service   asks each format's questions and weighs the answers
reasons   every code in three languages and in the words of ETSI
report    the answers put together
"""
