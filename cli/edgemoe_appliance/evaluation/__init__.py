"""A whole evaluation: what it will do and cost, the steps one after another, what came of it.

Composes the other rooms and measures, judges and renders nothing itself.
"""
