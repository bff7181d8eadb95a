"""What archives add up to: every claim, on every device, with every engine build.

In come archives that `verify` accepts, and nothing else; out comes one folder of static pages with
a table of claims by device, engine and quantisation, each cell with its verdict, its interval, how
many boards and sessions it rests on, and the digests of its archives.

`entries` is what one archive contributes, `cells` judges archives together, `build` admits a folder
of archives and writes the pages.

>>> from edgemoe_appliance.ledger.cells import estimate_over
>>> found = estimate_over({"a": [0.70], "b": [0.72], "c": [0.68]})
>>> round(found.value, 2), round(found.interval.low, 2), round(found.interval.high, 2), found.covers
(0.7, 0.67, 0.73, 'between 3 boards')

Measures nothing, and believes no verdict that an archive brings along: each is judged again here.
"""
