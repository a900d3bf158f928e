"""Told of changes: a program follows certificates and gets signed notices.

service   `Subscriptions`: follow, end, deliver
http      its routes
"""
