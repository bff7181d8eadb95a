r"""Archives: one file for one session, and the check that it says what its contents say.

`bundle` writes one, `verify` reads one that a stranger may have made. An archive is a plain tar of
one form, so that equal content gives equal bytes; `ro-crate-metadata.json` describes it and
`manifest-sha256.txt` lists its digests in the form of `sha256sum --check`.

>>> from edgemoe_appliance.archive.layout import parse_manifest
>>> parse_manifest(b"%s  raw/runs.jsonl\n" % (b"0" * 64))
{'raw/runs.jsonl': '0000000000000000000000000000000000000000000000000000000000000000'}

Measures nothing, prints nothing, and trusts nothing that it unpacks: names, sizes, depths and
counts are checked before a byte is kept.
"""
