"""Customers' details: sealed in the ledger under keys that lie outside of it, read for a reason only, destroyed in time.

May import certificates and what lies below; imported by console, rack and cli. Nothing below knows a customer.
"""
