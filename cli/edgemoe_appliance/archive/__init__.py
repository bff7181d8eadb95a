"""Archives: one file for one session, and the check that it says what its contents say.

`bundle` writes one, `verify` reads one that a stranger may have made. Measures nothing, prints
nothing, and trusts nothing that it unpacks.
"""
