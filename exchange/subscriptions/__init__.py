"""Told of changes: a program follows certificates and gets signed notices.

service   `Subscriptions`: follow, end, deliver
store     the questions to its tables
http      its routes
"""
